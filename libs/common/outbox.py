"""Brings changes of subscribers from the database to the log. The database has the truth and a mark for what is yet to
be told; a mark is taken away only once the log has acknowledged. Knows neither MongoDB nor Kafka."""

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Protocol

import msgspec
import structlog

from libs.common.appending import append_all
from libs.common.clock import Clock
from libs.common.domain.errors import Poison, Unavailable
from libs.common.domain.subscribers import Subscriber, announcement, log_key, tombstone_headers
from libs.common.observability.metrics import Metrics, Name
from libs.common.ports import Log, Record

_log = structlog.get_logger(__name__)

PATIENCE = timedelta(seconds=1)
"""How long a request waits for the log before it leaves the change to the sweeper."""
GRACE = timedelta(seconds=2)
"""How old a change must be before the sweeper takes it for left behind; its request may still be at it."""
_AT_ONCE = 200
_PUT_OFF = timedelta(hours=1)
"""Until a change that the log refused is tried again: its next version is tried at once, but a limit may be raised."""


class PendingSubscribers(Protocol):
    """The subscribers with marks. Every call may raise `Unavailable`."""

    async def pending(self, before: datetime, limit: int) -> list[Subscriber]:
        """Those changed before `before` whose change is not known to be on the log."""
        ...

    async def find(self, tenant: str, subscriber_id: str) -> Subscriber | None:
        """The subscriber as it is now."""
        ...

    async def published(self, subscriber: Subscriber) -> bool:
        """The log has this version; False when it is not the one stored (any more)."""
        ...

    async def put_off(self, subscriber: Subscriber, until: datetime) -> None:
        """Let this version, if it is still the one stored, be pending from `until` on and not before."""
        ...

    async def delete_erased(self, tenant: str, subscriber_id: str) -> None:
        """Remove what is left of an erased one."""
        ...


class Belongings(Protocol):
    """What is kept of a subscriber elsewhere, and goes with them."""

    async def delete_by_subscriber(self, tenant: str, subscriber_id: str) -> None:
        """Remove all of it."""
        ...


class Outbox:
    """Tells the log what became of subscribers."""

    def __init__(
        self,
        subscribers: PendingSubscribers,
        belongings: Sequence[Belongings],
        log: Log,
        topic: str,
        metrics: Metrics | None = None,
    ) -> None:
        self._subscribers = subscribers
        self._belongings = belongings
        self._log = log
        self._topic = topic
        self._metrics = metrics

    async def publish(self, *subscribers: Subscriber) -> None:
        """Tell the log the whole present state of these, then take their marks away. An erased one is ended: account
        and feed, tombstone, and at last the document that would have told us to do so again.

        Raises:
            Unavailable: some may not have been told; doing it again is right, readers ignore older versions.
            Poison: one of them is too large for the log; of the others some may not have been told.
        """
        for subscriber in subscribers:
            if subscriber.erased_at is not None:
                for each in self._belongings:
                    await each.delete_by_subscriber(subscriber.tenant, subscriber.subscriber_id)
        await append_all(self._log, (self._record(subscriber) for subscriber in subscribers))
        for subscriber in subscribers:
            if subscriber.erased_at is not None:
                await self._subscribers.delete_erased(subscriber.tenant, subscriber.subscriber_id)
            elif not await self._subscribers.published(subscriber):
                await self._correct(subscriber)

    async def publish_soon(self, subscriber: Subscriber) -> None:
        """Publish, or leave it to the sweeper when the log or the database does not answer at once, or the log refuses
        it: the change is stored, so whoever asked for it need not wait, nor be told that it failed."""
        try:
            async with asyncio.timeout(PATIENCE.total_seconds()):
                await self.publish(subscriber)
        except (Unavailable, Poison, TimeoutError) as error:
            _log.warning(
                "outbox.left_to_sweeper", subscriber_id=subscriber.subscriber_id, reason=str(error) or "timeout"
            )

    async def sweep(self, now: datetime) -> int:
        """Publish what was left behind; how many changes that were. One that the log refuses stops no other. Raises
        `Unavailable`."""
        left = await self._subscribers.pending(now - GRACE, _AT_ONCE)
        if not left:
            return 0
        swept = len(left)
        try:
            await self.publish(*left)
        except Poison:
            swept = await self._publish_one_by_one(left, now)
        self._count("outbox_swept", swept)
        _log.info("outbox.swept", subscribers=swept)
        return swept

    async def sweep_forever(self, clock: Clock, every: timedelta) -> None:
        """Sweep until cancelled; what cannot be published now is tried again."""
        while True:
            try:
                full = await self.sweep(clock()) == _AT_ONCE
            except Unavailable as error:
                full = False
                _log.warning("outbox.waiting", reason=str(error))
            except Exception:
                # A defect must not end the sweeping quietly: nothing else would ever publish what is left.
                full = False
                _log.exception("outbox.sweep_failed")
            if not full:
                await asyncio.sleep(every.total_seconds())

    async def _publish_one_by_one(self, subscribers: Sequence[Subscriber], now: datetime) -> int:
        """How many of these the log took. The others are put off, so that they do not come first again and again."""
        refused = 0
        for subscriber in subscribers:
            try:
                await self.publish(subscriber)
            except Poison as error:
                refused += 1
                await self._subscribers.put_off(subscriber, now + _PUT_OFF)
                self._count("outbox_refused", 1)
                _log.error(
                    "outbox.refused",
                    tenant=subscriber.tenant,
                    subscriber_id=subscriber.subscriber_id,
                    version=subscriber.version,
                    error=str(error),
                )
        return len(subscribers) - refused

    async def _correct(self, outdated: Subscriber) -> None:
        """A later version may have got to the log before this one. Readers ignore what is older, but compaction keeps
        what came last: so the last word is said again."""
        latest = await self._subscribers.find(outdated.tenant, outdated.subscriber_id)
        if latest is None:
            await self._log.append([self._tombstone(outdated)])
        else:
            await self.publish(latest)

    def _count(self, name: Name, amount: int) -> None:
        if self._metrics is not None:
            self._metrics.count(name, amount)

    def _record(self, subscriber: Subscriber) -> Record:
        if subscriber.erased_at is not None:
            return self._tombstone(subscriber)
        value = msgspec.json.encode(announcement(subscriber))
        key = log_key(subscriber.tenant, subscriber.subscriber_id)
        return Record(self._topic, value, key, (("content-type", b"application/json"),))

    def _tombstone(self, subscriber: Subscriber) -> Record:
        """Of this version and all before: one of a version that an append given up brings later must not revive it."""
        key = log_key(subscriber.tenant, subscriber.subscriber_id)
        return Record(self._topic, None, key, tombstone_headers(subscriber.version))
