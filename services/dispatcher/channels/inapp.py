"""INAPP: the provider is our own feed, in MongoDB. The notification's id is the entry's, so that it stands there once;
many go in by one insert."""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from libs.common.clock import Clock
from libs.common.domain.errors import Poison, Unavailable
from libs.common.domain.feed_entries import FeedEntry
from libs.common.domain.outcome import Accepted, NotNow, Outcome, Refused
from services.dispatcher.channels.base import Message, Sender
from services.dispatcher.channels.tools import Tools
from services.dispatcher.settings import Settings


class Feed(Protocol):
    """Where entries are put."""

    async def put(self, entries: Sequence[FeedEntry], now: datetime) -> None:
        """Add the entries that are not there yet. Raises `Unavailable`, and `Poison` if one can never be stored."""
        ...


class FeedSender:
    """Puts notifications into the feed. A `BulkSender`."""

    provider = "feed"

    def __init__(self, feed: Feed, clock: Clock) -> None:
        self._feed = feed
        self._clock = clock

    async def send(self, message: Message) -> Outcome:
        """Put one entry."""
        return (await self.send_many([message]))[0]

    async def send_many(self, messages: Sequence[Message]) -> list[Outcome]:
        """Put all entries; an entry that is there already counts as put."""
        try:
            await self._feed.put([entry_of(message) for message in messages], self._clock())
        except Unavailable:
            return [NotNow("feed_unavailable")] * len(messages)
        except Poison:
            if len(messages) == 1:
                return [Refused("unstorable")]
            return [outcome for message in messages for outcome in await self.send_many([message])]
        return [Accepted()] * len(messages)  # the entry is found by the notification's id


def entry_of(message: Message) -> FeedEntry:
    """The entry for one message."""
    event = message.event
    return FeedEntry(
        notification_id=message.notification_id,
        tenant=event.tenant,
        subscriber_id=message.subscriber_id,
        event_id=event.eventid,
        title=message.subject,
        content=message.text,
        topic=event.topic,
        priority=event.priority,
        category=event.category,
        data=event.data.data,
    )


def providers(_settings: Settings, tools: Tools) -> list[Sender]:
    """The channel's one sender."""
    return [FeedSender(tools.feed, tools.clock)]
