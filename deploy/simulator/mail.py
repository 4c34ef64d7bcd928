"""A mail taken apart: RFC 5322 bytes in, a submission out. Pure; refuses to fail, whatever the bytes are."""

import email
import email.policy
import re
from email.message import EmailMessage
from typing import Any
from uuid import UUID

from deploy.simulator.records import Submission

_TOLD = re.compile(r"from|reply-to|message-id|date|auto-submitted|user-agent|traceparent|list-.*|x-.*", re.IGNORECASE)
_OURS = "x-sigmora-"


def read_mail(raw: bytes, sender: str, recipients: tuple[str, ...]) -> Submission:
    """Take a mail apart. `X-Sigmora-Some-Name` headers become the metadata `some_name`.

    The delivery is `X-Sigmora-Delivery-Id`, or a Message-ID whose local part is a UUID; the key is
    `Idempotency-Key`, or the delivery's id.
    """
    mail = email.message_from_bytes(raw, policy=email.policy.default)
    headers = {name.lower(): _text(str(value)) for name, value in _items(mail)}
    metadata: dict[str, Any] = {
        name.removeprefix(_OURS).replace("-", "_"): value for name, value in headers.items() if name.startswith(_OURS)
    }
    delivery_id = metadata.get("delivery_id") or _uuid_in(headers.get("message-id", ""))
    return Submission(
        to=recipients,
        subject=headers.get("subject"),
        body=_part(mail, "plain") or "",
        html=_part(mail, "html"),
        key=headers.get("idempotency-key") or delivery_id,
        delivery_id=delivery_id,
        metadata=metadata,
        headers={"envelope-from": sender, **{n: v for n, v in headers.items() if _TOLD.fullmatch(n)}},
        size=len(raw),
    )


def _items(mail: EmailMessage) -> list[tuple[str, Any]]:
    """All headers; none when they cannot be parsed."""
    try:
        return list(mail.items())
    except (ValueError, IndexError, AttributeError, TypeError):  # the standard parser's ways to give up
        return []


def _part(mail: EmailMessage, kind: str) -> str | None:
    part = mail.get_body((kind,))
    if part is None:
        return None
    try:
        return _text(str(part.get_content())).replace("\r\n", "\n")
    except (LookupError, ValueError):  # a charset that nobody knows
        payload = part.get_payload(decode=True)
        return payload.decode(errors="replace") if isinstance(payload, bytes) else ""


def _text(value: str) -> str:
    """A value without the lone surrogates that stand for undecodable bytes; JSON cannot carry them."""
    return value.encode(errors="replace").decode()


def _uuid_in(message_id: str) -> str | None:
    local = message_id.strip().removeprefix("<").partition("@")[0]
    try:
        return str(UUID(local))
    except ValueError:
        return None
