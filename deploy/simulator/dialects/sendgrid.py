"""SendGrid's `POST /v3/mail/send`, as far as a sender of single messages can tell.

Source: https://www.twilio.com/docs/sendgrid/api-reference/mail-send/mail-send. It knows no idempotency keys.
"""

from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from deploy.simulator.access import Access
from deploy.simulator.dialects.dialect import Call, Reply, is_for_now, json_reply, told
from deploy.simulator.problems import Refused, decode
from deploy.simulator.records import Submission

_Text = Annotated[str, Meta(min_length=1)]


class _Address(Struct):
    email: _Text
    name: str | None = None


class _Personalization(Struct):
    to: Annotated[list[_Address], Meta(min_length=1)]
    subject: str | None = None
    custom_args: dict[str, str] = {}


class _Content(Struct):
    type: _Text
    value: _Text


class _Mail(Struct, rename={"sender": "from"}):
    personalizations: Annotated[list[_Personalization], Meta(min_length=1, max_length=1000)]
    sender: _Address
    content: Annotated[list[_Content], Meta(min_length=1)]
    subject: str | None = None
    custom_args: dict[str, str] = {}
    headers: dict[str, str] = {}


_MAIL = msgspec.json.Decoder(_Mail)


class SendGrid:
    """A request is one message here, whatever the number of its recipients."""

    protocol = "sendgrid"
    channel: Any = "EMAIL"
    path = "/v3/mail/send"
    key_header = "Idempotency-Key"
    honours_keys = False

    def read(self, call: Call, access: Access) -> Submission:
        """Custom arguments become the metadata."""
        access.bearer(call.headers)
        mail = decode(_MAIL.decode, call.raw)
        first = mail.personalizations[0]
        subject = first.subject or mail.subject
        if not subject:
            raise Refused(400, "The subject is required.", "subject")
        parts = {part.type: part.value for part in mail.content}
        metadata = {**mail.custom_args, **first.custom_args}
        return Submission(
            to=tuple(address.email for person in mail.personalizations for address in person.to),
            subject=subject,
            body=parts.get("text/plain", ""),
            html=parts.get("text/html"),
            key=call.headers.get(self.key_header),
            delivery_id=metadata.get("delivery_id"),
            metadata=metadata,
            headers={"from": mail.sender.email, **told(call.headers, "user-agent", "traceparent"), **mail.headers},
        )

    def new_id(self, call: Call, drawn: str) -> str:
        """22 characters, as theirs."""
        return drawn[:22]

    def accepted(self, call: Call, sent: Submission, message_id: str) -> Reply:
        """202, empty, the id in a header."""
        return Reply(202, headers={"X-Message-Id": message_id})

    def refused(self, status: int, message: str, field: str = "") -> Reply:
        """Their list of errors."""
        return json_reply(status, {"errors": [{"message": message, "field": field or None, "help": None}]})

    def unknown_recipient(self, code: int) -> Reply:
        """503 for now, 400 for good."""
        status = 503 if is_for_now(code) else 400
        return self.refused(status, "Does not contain a valid address.", "personalizations.0.to.0.email")
