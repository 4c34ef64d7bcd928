"""Releases what was held once its time has come: never early, and late by no more than a look. After an outage it is
held on where the window has closed meanwhile. Several routers share the work by leases. What a crash leaves is
published again, which is harmless: the ids of deliveries are derived."""

import asyncio
import contextlib
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog

from libs.common.appending import append_all
from libs.common.clock import Clock
from libs.common.dead_letters import bury, dead_letter
from libs.common.domain.decide import Outcome, Reason, has_expired
from libs.common.domain.deliveries import Lease
from libs.common.domain.errors import Poison, Unavailable
from libs.common.domain.fan_out import Hold, later_decision
from libs.common.domain.late import divide, is_late
from libs.common.domain.messages import BatchEncoder
from libs.common.domain.wishes import read_wishes
from libs.common.observability.metrics import Metrics
from libs.common.ports import Headers, Log, Record
from libs.common.topics import Topics
from services.router.ports import HoldStore, SubscriberSource
from services.router.publishing import CONSUMER, decision_record, delivery_record

_log = structlog.get_logger(__name__)

_LIMIT = 200
"""Holds of one release: 20,000 people. To lease them takes 2 s on the local database, of 5 that it may."""
_LEASE = timedelta(seconds=30)
"""Longer than any append may take; what a crashed router had claimed comes this late. Whoever only fails, or is
stopped, gives it back."""
_GIVING_BACK = timedelta(seconds=2)
"""How long a router that is being stopped tries to."""
_LOOK = 1.0
"""Seconds between looks while nothing is due: holds may be added by other routers."""


@dataclass(frozen=True)
class UnreadableHold:
    """A hold as a dead letter has it."""

    origin: str
    value: bytes
    key: bytes | None = None
    headers: Headers = ()


class Scheduler:
    """Moves due holds to the log."""

    def __init__(
        self,
        holds: HoldStore,
        subscribers: SubscriberSource,
        log: Log,
        topics: Topics,
        metrics: Metrics,
        clock: Clock,
    ) -> None:
        self._holds = holds
        self._subscribers = subscribers
        self._log = log
        self._topics = topics
        self._metrics = metrics
        self._clock = clock
        self._owing = ""
        """Whose lease the last release, which failed, has yet to give back."""

    async def run(self) -> None:
        """Release until cancelled; outlasts Kafka and MongoDB being away."""
        while True:
            try:
                if not await self.release():
                    await asyncio.sleep(await self._until_next())
            except Unavailable as error:
                _log.warning("scheduler.waiting", error=str(error))
                await asyncio.sleep(_LOOK)
            except Exception:  # a defect of ours must not end the loop in silence
                _log.exception("scheduler.defect")
                await asyncio.sleep(_LOOK)

    async def release(self) -> int:
        """Publish what is due now, then forget it; returns how many holds that were.

        Raises `Unavailable`: then what was claimed is given back, before anything else is claimed. After a defect it
        is not: the lease lets the others go first.
        """
        await self._give_back()
        now = self._clock()
        lease = Lease(str(uuid.uuid4()), now, now + _LEASE)
        try:
            return await self._release(lease)
        except (Unavailable, asyncio.CancelledError):
            self._owing = lease.owner
            with contextlib.suppress(Unavailable, TimeoutError):
                async with asyncio.timeout(_GIVING_BACK.total_seconds()):
                    await asyncio.shield(self._give_back())
            raise

    async def _give_back(self) -> None:
        if self._owing:
            await self._holds.give_back(self._owing)
            self._owing = ""

    async def _release(self, lease: Lease) -> int:
        now = lease.now
        claimed = await self._holds.claim(lease, _LIMIT)
        if not claimed.holds and not claimed.unreadable:
            return 0
        due, waiting = await self._look_again(claimed.holds, now)
        expired = [hold for hold in due if has_expired(hold.batch.event, now)]
        # First what waits on: whatever fails after that, nobody is forgotten.
        await self._holds.put(waiting, now)
        decisions = [
            *(self._said(hold, Outcome.EXPIRED, Reason.EXPIRED, now) for hold in expired),
            *(self._said(hold, Outcome.HOLD, Reason.WINDOW_CLOSED, now) for hold in waiting),
        ]
        await self._publish(due, claimed.unreadable, decisions)
        await self._holds.delete([*(hold.id for hold in claimed.holds), *claimed.unreadable])
        self._tell(due, now, expired=len(expired), unreadable=len(claimed.unreadable), held_on=len(waiting))
        return len(claimed.holds) + len(claimed.unreadable)

    async def _look_again(self, holds: Sequence[Hold], now: datetime) -> tuple[list[Hold], list[Hold]]:
        """What goes out now, and what waits for another window. One by one: a hundred people each, with all wishes."""
        due: list[Hold] = []
        waiting: list[Hold] = []
        for hold in holds:
            out: Hold | None = hold
            if is_late(hold, now):
                found = await self._subscribers.find(hold.batch.event.tenant, hold.batch.subscribers)
                wishes = {one.subscriber_id: read_wishes(one)[0] for one in found}
                # In a thread: it is every filter of a hundred people, one by one, while hearts must beat.
                out, later = await asyncio.to_thread(divide, hold, wishes, now)
                waiting += later
            due += [out] if out is not None else []
        return due, waiting

    async def _publish(self, due: Sequence[Hold], unreadable: Mapping[str, bytes], decisions: list[Record]) -> None:
        """An expired one goes to the dispatcher too: it sends nothing that has expired, and settles it, so that the
        delivery ends in a state that people can look up."""
        letters = [self._letter(key, value, "unreadable") for key, value in unreadable.items()]
        encoder = BatchEncoder()
        deliveries = [delivery_record(self._topics, hold.batch, encoder) for hold in due]
        try:
            await append_all(self._log, [*decisions, *deliveries, *letters])
        except Poison:
            for hold, record in zip(due, deliveries, strict=True):
                try:
                    await self._log.append([record])
                except Poison as error:
                    letters.append(self._letter(hold.id, record.value or b"", str(error)))
            await append_all(self._log, decisions)
            await bury(self._log, letters)

    def _said(self, hold: Hold, outcome: Outcome, reason: Reason, now: datetime) -> Record:
        return decision_record(self._topics, later_decision(hold, outcome, reason, now))

    def _letter(self, hold_id: str, value: bytes, reason: str) -> Record:
        held = UnreadableHold(f"scheduled/{hold_id}", value)
        return dead_letter(held, self._topics.dead_letters, f"Poison: {reason}", CONSUMER)

    async def _until_next(self) -> float:
        """Seconds to the next due time, at most one look."""
        due_at = await self._holds.next_due()
        if due_at is None:
            return _LOOK
        # What is overdue is leased to another router: it is not ours before the next look.
        ahead = (due_at - self._clock()) / timedelta(seconds=1)
        return min(_LOOK, ahead) if ahead > 0 else _LOOK

    def _tell(self, due: Sequence[Hold], now: datetime, **counts: int) -> None:
        for hold in due:
            self._metrics.count("scheduled_released", len(hold.batch.subscribers), channel=hold.batch.channel)
        late = max((now - hold.due_at for hold in due), default=timedelta())
        _log.info(
            "scheduler.released",
            holds=len(due),
            **counts,
            event_ids=sorted({hold.batch.event.eventid for hold in due})[:20],
            late_ms=round(late / timedelta(milliseconds=1)),
        )
