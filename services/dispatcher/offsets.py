"""The offsets of one consumer: what is in hand, how far it may be committed, and when a partition has enough for now.
Back-pressure is by pausing partitions, never by a handler that waits: polling goes on, so the group stays whole however
long a database is away."""

import asyncio
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from aiokafka import TopicPartition

from libs.common.adapters.kafka.received import partition_of
from libs.common.domain.inflight import Ticket, Tracker
from libs.common.ports import Received

_COMMIT_EVERY = 0.25
"""Seconds: what a crash repeats is at most what was finished since, and its claims say that it was."""


class Source(Protocol):
    """Where records come from: `Consumption`."""

    @property
    def group_id(self) -> str: ...
    @property
    def consumer(self) -> Any: ...
    async def commit(self, positions: Mapping[TopicPartition, int]) -> bool: ...


@dataclass(frozen=True)
class Pressure:
    """A partition is paused at `high` records or `weight` bytes that are not done, until `low` of the records and a
    quarter of the bytes are left: a thousand records are 1 MB or 250. And it is paused at `span` records above its
    watermark, done or not, so that one slow delivery cannot make a crash repeat hours."""

    high: int = 200
    low: int = 50
    span: int = 20_000
    weight: int = 4 * 1024 * 1024


class Offsets:
    """Registers what comes, commits what is done."""

    def __init__(self, source: Source, pressure: Pressure) -> None:
        self._source = source
        self._pressure = pressure
        self._tracker: Tracker[TopicPartition] = Tracker()
        self._paused: set[TopicPartition] = set()

    @property
    def assigned(self) -> Collection[TopicPartition]:
        """The partitions that are ours."""
        consumer = self._source.consumer
        return consumer.assignment() if consumer is not None else frozenset()

    def register(self, record: Received) -> Ticket[TopicPartition]:
        """Take a record in."""
        return self._tracker.register(partition_of(record), record.offset, len(record.value or b""))

    def current(self, ticket: Ticket[TopicPartition]) -> bool:
        """Whether the record is still ours to work on."""
        return self._tracker.current(ticket)

    def done(self, ticket: Ticket[TopicPartition]) -> None:
        """Everything about the record is durable."""
        self._tracker.done(ticket)
        partition = ticket.partition
        if partition in self._paused and self._has_little(partition):
            self._paused.discard(partition)
            if partition in self.assigned:
                self._source.consumer.resume(partition)

    def hold_back(self, partitions: Iterable[TopicPartition]) -> None:
        """Pause those of which enough is in hand."""
        for partition in partitions:
            if self._has_enough(partition) and partition in self.assigned:
                self._source.consumer.pause(partition)
                self._paused.add(partition)

    def _has_enough(self, partition: TopicPartition) -> bool:
        tracker, pressure = self._tracker, self._pressure
        return (
            tracker.pending(partition) >= pressure.high
            or tracker.weight(partition) >= pressure.weight
            or tracker.span(partition) >= pressure.span
        )

    def _has_little(self, partition: TopicPartition) -> bool:
        tracker, pressure = self._tracker, self._pressure
        return (
            tracker.pending(partition) <= pressure.low
            and tracker.weight(partition) <= pressure.weight // 4
            and tracker.span(partition) < pressure.span
        )

    async def commit(self, partitions: Iterable[TopicPartition] | None = None) -> None:
        """Commit the watermarks that moved. What cannot be committed is repeated by the next owner, without effect."""
        moved = self._tracker.watermarks(partitions)
        positions = {partition: offset for partition, offset in moved.items() if partition in self.assigned}
        if positions and await self._source.commit(positions):
            self._tracker.committed(positions)

    async def commit_forever(self) -> None:
        """Commit each quarter of a second."""
        while True:
            await asyncio.sleep(_COMMIT_EVERY)
            await self.commit()

    def forget(self, partitions: Iterable[TopicPartition]) -> None:
        """The partitions are not ours any more; with them goes their pause, which the broker's client forgot too."""
        gone = set(partitions)
        self._tracker.forget(gone)
        self._paused -= gone
