"""The webhook sink: `POST /hooks/{name}`, a receiver that checks Standard Webhooks signatures by itself."""

import time
from typing import Any

import msgspec

from deploy.simulator.access import Access
from deploy.simulator.dialects.dialect import Call, Reply, is_for_now, json_reply
from deploy.simulator.problems import problem
from deploy.simulator.records import Submission

_UNTOLD = frozenset({"authorization", "cookie", "host", "connection", "content-length", "accept", "accept-encoding"})


class Hooks:
    """The address is the hook's name; the key is `webhook-id`, by which a careful receiver deduplicates."""

    protocol = "webhook"
    channel: Any = "WEBHOOK"
    path = "/hooks/{name}"
    key_header = "webhook-id"
    honours_keys = True

    def read(self, call: Call, access: Access) -> Submission:
        """Any body will do; when it is JSON with a `type`, that is the subject, and its ids are the metadata."""
        verification = access.verify_hook(call.path["name"], call.headers, call.raw, time.time())
        content = _object(call.raw)
        key = call.headers.get(self.key_header)
        kind = content.get("type")
        metadata = {n: content[n] for n in ("delivery_id", "notification_id") if isinstance(content.get(n), str)}
        return Submission(
            to=(call.path["name"],),
            subject=kind if isinstance(kind, str) else None,
            body=call.raw.decode(errors="replace"),
            key=key,
            delivery_id=metadata.get("delivery_id", key),
            metadata=metadata,
            headers={n.lower(): v for n, v in call.headers.items() if n.lower() not in _UNTOLD},
            verification=verification,
        )

    def new_id(self, call: Call, drawn: str) -> str:
        """`hook-` and the digits."""
        return f"hook-{drawn}"

    def accepted(self, call: Call, sent: Submission, message_id: str) -> Reply:
        """200 with what was made of it."""
        return json_reply(200, {"id": message_id, "verification": sent.verification})

    def refused(self, status: int, message: str, field: str = "") -> Reply:
        """problem+json."""
        return Reply(status, problem(status, message, field), "application/problem+json")

    def unknown_recipient(self, code: int) -> Reply:
        """503 for now; 410 for good: the endpoint asks not to be called again."""
        return self.refused(503 if is_for_now(code) else 410, "this endpoint is gone")


def _object(raw: bytes) -> dict[str, Any]:
    try:
        content = msgspec.json.decode(raw)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return {}
    return content if isinstance(content, dict) else {}
