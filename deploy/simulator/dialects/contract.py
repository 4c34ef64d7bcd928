"""The HTTP provider contract: `POST /send` with a bearer token, an Idempotency-Key and flat JSON."""

from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from deploy.simulator.access import Access
from deploy.simulator.dialects.dialect import Call, Reply, is_for_now, json_reply, told
from deploy.simulator.problems import Refused, decode, problem, require_shallow
from deploy.simulator.records import Submission
from deploy.simulator.rules import Channel

LONGEST_KEY = 255


class _Send(Struct):
    delivery_id: Annotated[str, Meta(min_length=1)]
    channel: str
    to: Annotated[str, Meta(min_length=1)]
    body: str
    subject: str | None = None
    title: str | None = None
    html: str | None = None
    metadata: dict[str, Any] = {}


_SEND = msgspec.json.Decoder(_Send)


class Contract:
    """The same on three ports; the port says which channel it serves."""

    protocol = "http"
    path = "/send"
    key_header = "Idempotency-Key"
    honours_keys = True

    def __init__(self, channel: Channel) -> None:
        self.channel: Channel = channel

    def read(self, call: Call, access: Access) -> Submission:
        """Require the key, since a contract without it cannot promise one effect."""
        access.bearer(call.headers)
        key = call.headers.get(self.key_header, "")
        if not key or len(key) > LONGEST_KEY:
            raise Refused(400, f"required, 1 to {LONGEST_KEY} characters", self.key_header)
        sent = decode(_SEND.decode, call.raw)
        if sent.channel.upper() != self.channel:
            raise Refused(400, f"this port takes {self.channel}", "channel")
        require_shallow(sent.metadata, "metadata")
        return Submission(
            to=(sent.to,),
            subject=sent.subject,
            title=sent.title,
            body=sent.body,
            html=sent.html,
            key=key,
            delivery_id=sent.delivery_id,
            metadata=sent.metadata,
            headers=told(call.headers, "user-agent", "content-type", "traceparent"),
        )

    def new_id(self, call: Call, drawn: str) -> str:
        """`sim-` and the digits."""
        return f"sim-{drawn}"

    def accepted(self, call: Call, sent: Submission, message_id: str) -> Reply:
        """200 with the provider's id."""
        return json_reply(200, {"provider_message_id": message_id})

    def refused(self, status: int, message: str, field: str = "") -> Reply:
        """problem+json."""
        return Reply(status, problem(status, message, field), "application/problem+json")

    def unknown_recipient(self, code: int) -> Reply:
        """503 for now, 422 for good."""
        return self.refused(503 if is_for_now(code) else 422, "recipient refused", "to")
