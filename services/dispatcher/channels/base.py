"""What a channel gets and what it answers. A sender makes one call to its provider and says what came of it; whether
and when there is another is not its business."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from libs.common.domain.channels import MAIN_ENDPOINT, Channel
from libs.common.domain.messages import Event
from libs.common.domain.outcome import Outcome


@dataclass(frozen=True, slots=True)
class Message:
    """One rendered delivery. Never logged: it carries an address and a body."""

    delivery_id: str
    """The provider's idempotency key, the same on every attempt."""
    notification_id: str
    channel: Channel
    subscriber_id: str
    to: str = field(repr=False)
    subject: str = field(repr=False)
    text: str = field(repr=False)
    event: Event = field(repr=False)
    """The fact itself, for channels that pass it on (feed, webhook)."""
    html: str = field(default="", repr=False)
    endpoint: str = MAIN_ENDPOINT
    secrets: tuple[str, ...] = field(default=(), repr=False)
    """What to sign with, newest first; webhooks have them."""
    unsubscribe_url: str = field(default="", repr=False)
    """Where one click unsubscribes; mails have it."""

    @property
    def metadata(self) -> dict[str, str]:
        """What a provider may keep with the message, to be found by."""
        return {
            "notification_id": self.notification_id,
            "event_id": self.event.eventid,
            "topic": self.event.topic,
        }

    @property
    def headers(self) -> dict[str, str]:
        """A mail's own headers: by them the reader's program offers to unsubscribe (RFC 2369, RFC 8058)."""
        if not self.unsubscribe_url:
            return {}
        return {
            "List-Unsubscribe": f"<{self.unsubscribe_url}>",
            "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
        }


class Sender(Protocol):
    """One provider of a channel."""

    @property
    def provider(self) -> str:
        """Its name in attempts, metrics and logs."""
        ...

    async def send(self, message: Message) -> Outcome:
        """Make one call, within the provider's total deadline. Never raises for a fault of the provider's."""
        ...


class Choice:
    """A sender of several providers, of which each message has one."""

    def __init__(self, provider: str, choose: Callable[[Message], Sender]) -> None:
        self.provider = provider
        self.choose = choose

    async def send(self, message: Message) -> Outcome:
        """One call to the message's provider."""
        return await self.choose(message).send(message)


@runtime_checkable
class BulkSender(Sender, Protocol):
    """A provider that takes many messages in one call."""

    async def send_many(self, messages: Sequence[Message]) -> list[Outcome]:
        """One outcome for each message, in order."""
        ...
