"""A router on ports in memory."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from aiokafka import TopicPartition

from libs.common.dead_letters import bury, dead_letter
from libs.common.domain.channels import Channel, Lane
from libs.common.domain.intake import accept_record
from libs.common.domain.keys import delivery_id, event_id
from libs.common.domain.messages import (
    Content,
    DecisionChunk,
    DeliveryBatch,
    Event,
    SubscriberChanged,
    WantedSubscription,
)
from libs.common.observability.metrics import Metrics
from libs.common.ports import Received, Record
from libs.common.testing.audiences import MemoryAudiences
from libs.common.testing.changes import MemoryChanges
from libs.common.testing.log import MemoryLog
from libs.common.testing.scheduled import MemoryHolds
from libs.common.testing.stumbling import Stumbles
from libs.common.testing.waiting import eventually
from libs.common.testing.wishes import MemoryWishes
from libs.common.topics import Topics
from services.router.finishing import Finisher
from services.router.handler import Router
from services.router.live_index import LiveIndex
from services.router.publishing import Publisher
from services.router.scheduler import Scheduler

NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
TOPICS = Topics("", (timedelta(seconds=5),))


@dataclass
class World:
    """Everything outside the router, and how to look at it."""

    log: MemoryLog = field(default_factory=MemoryLog)
    audiences: MemoryAudiences = field(default_factory=MemoryAudiences)
    holds: MemoryHolds = field(default_factory=MemoryHolds)
    people: MemoryWishes = field(default_factory=MemoryWishes)
    changes: MemoryChanges = field(default_factory=MemoryChanges)
    committed: dict[TopicPartition, int] = field(default_factory=dict)
    metrics: Metrics = field(default_factory=Metrics)
    now: datetime = NOON
    topics: Topics = TOPICS
    accept: Callable[..., Event] = accept_record

    def join(self, name: str, pattern: dict[str, Any] | None = None, **wanted: Any) -> SubscriberChanged:
        """A subscriber with one subscription, in the database; the index has it once it is loaded."""
        active, version = wanted.pop("active", True), wanted.pop("version", 1)
        ordinal = wanted.pop("ordinal", len(self.people.subscribers) + 1)
        changed = SubscriberChanged(
            tenant=wanted.pop("tenant", "acme"),
            subscriber_id=name,
            ordinal=ordinal,
            version=version,
            active=active,
            subscriptions=(WantedSubscription(name="default", pattern=pattern, **wanted),),
        )
        self.people.put(changed)
        return changed

    def live_index(self, stumbles: Stumbles | None = None) -> LiveIndex:
        """An index that is not loaded yet."""
        wrap = (stumbles or Stumbles()).wrap

        async def bury_changes(poison: Sequence[tuple[Received, str]]) -> None:
            await bury(
                wrap(self.log), [dead_letter(one, self.topics.dead_letters, why, "router") for one, why in poison]
            )

        return LiveIndex(self.people, self.changes, bury_changes, self.metrics)

    def finisher(self, stumbles: Stumbles | None = None) -> Finisher:
        """A finisher whose outside calls go through `stumbles`."""
        return Finisher((stumbles or Stumbles()).wrap(self.audiences), lambda: self.now)

    def router(self, live: LiveIndex, stumbles: Stumbles | None = None, finisher: Finisher | None = None) -> Router:
        """A router whose outside calls go through `stumbles`."""
        wrap = (stumbles or Stumbles()).wrap
        finisher = finisher or self.finisher(stumbles)
        audiences, people = wrap(self.audiences), wrap(self.people)
        publisher = Publisher(
            wrap(self.log), self.topics, finisher, wrap(self.holds), people, self.metrics, lambda: self.now
        )
        return Router(
            live, audiences, people, publisher, finisher, self.topics, self.metrics, lambda: self.now, self.accept
        )

    def scheduler(self, stumbles: Stumbles | None = None) -> Scheduler:
        """A scheduler whose outside calls go through `stumbles`."""
        wrap = (stumbles or Stumbles()).wrap
        holds, people, log = wrap(self.holds), wrap(self.people), wrap(self.log)
        return Scheduler(holds, people, log, self.topics, self.metrics, lambda: self.now)

    @asynccontextmanager
    async def indexed(self) -> AsyncIterator[LiveIndex]:
        """A live index, for as long as the block lasts."""
        live, before = self.live_index(), self.changes.followers
        running = asyncio.create_task(live.run())
        try:
            await eventually(lambda: self.changes.followers > before)
            yield live
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)

    async def route(self, *records: Received, stumbles: Stumbles | None = None) -> None:
        """One poll through a router that has just loaded its index, to its very end."""
        stumbles = stumbles or Stumbles()
        finisher = self.finisher(stumbles)

        async def commit(positions: Mapping[TopicPartition, int]) -> bool:
            self.committed |= positions
            return True

        async with self.indexed() as live:
            await self.router(live, stumbles, finisher).handle(
                list(records), lambda positions: stumbles.call("commit", lambda: commit(positions))
            )
            await finisher.finish()

    def watch_appends(self) -> list[int]:
        """How many bytes each append from now on has."""
        sizes: list[int] = []
        append = self.log.append

        async def watched(records: Sequence[Record]) -> None:
            sizes.append(sum(record.size for record in records))
            await append(records)

        self.log.append = watched  # type: ignore[method-assign]  # a look, and on
        return sizes

    @property
    def batches(self) -> list[DeliveryBatch]:
        """What went to the dispatcher."""
        return [
            msgspec.json.decode(record.value or b"", type=DeliveryBatch)
            for channel in Channel
            for lane in Lane
            for record in self.log.of(self.topics.deliveries(channel, lane))
        ]

    @property
    def deliveries(self) -> list[tuple[str, str]]:
        """(subscriber, channel) of everything that went to the dispatcher, repetitions too."""
        return sorted((name, batch.channel) for batch in self.batches for name in batch.subscribers)

    @property
    def delivery_ids(self) -> set[str]:
        """The ids of the same: what the dispatcher takes for one."""
        return {
            delivery_id(batch.event.eventid, name, batch.channel, "main", batch.generation)
            for batch in self.batches
            for name in batch.subscribers
        }

    @property
    def decisions(self) -> list[DecisionChunk]:
        """What was said of it."""
        return [msgspec.json.decode(one.value or b"", type=DecisionChunk) for one in self.log.of(self.topics.decisions)]

    def reasons(self) -> list[tuple[str, str, tuple[str, ...]]]:
        """Outcome, reason and subscribers of every decision."""
        return sorted((one.outcome, one.reason, one.subscribers) for one in self.decisions)


@pytest.fixture
def make_world() -> Callable[[], World]:
    return World


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def an_event() -> Callable[..., Event]:
    def make(number: int = 1, **changes: Any) -> Event:
        content = Content(
            **{name: changes.pop(name) for name in ("title", "data", "recipients", "channels") if name in changes}
        )
        tenant = changes.pop("tenant", "acme")
        known: dict[str, Any] = {"id": str(number), "source": "/shop", "time": NOON, "topic": "tech"}
        return Event(tenant=tenant, eventid=event_id(tenant, "/shop", str(number)), data=content, **known | changes)

    return make


@pytest.fixture
def a_record() -> Callable[..., Received]:
    offsets = iter(range(10_000))

    def make(value: Event | bytes | None, topic: str = "events.standard", **changes: Any) -> Received:
        encoded = msgspec.json.encode(value) if isinstance(value, Event) else value
        key = changes.pop("key", b"key")
        return Received(topic, 0, changes.pop("offset", next(offsets)), key, encoded, changes.pop("headers", ()), 0)

    return make
