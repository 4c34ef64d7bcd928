"""What a provider's answer means. A channel maps its provider's answers to these four by a table of its own; what
happens next is decided in `retry.py`, not here."""

from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True)
class Accepted:
    """The provider took it."""

    provider_message_id: str = ""


@dataclass(frozen=True)
class Refused:
    """Refused for good: the same request would be refused again."""

    reason: str
    endpoint_gone: bool = False
    """Nothing will ever arrive there again, the provider says: the device's token or the webhook is to be retired."""


@dataclass(frozen=True)
class NotNow:
    """Surely not sent (connect refused, DNS, TLS), or an answer that says so: try again, not before `retry_after`."""

    reason: str
    retry_after: timedelta | None = None


@dataclass(frozen=True)
class Unknown:
    """No usable answer after the request left: it may have been sent."""

    reason: str


Outcome = Accepted | Refused | NotNow | Unknown
