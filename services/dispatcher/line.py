"""A line takes the records of one consumer through the story: it registers them as they come, takes them on in
groups, one after the other, buries what cannot be read, and lets go of partitions in good order."""

import asyncio
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Collection, Coroutine, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import structlog
from aiokafka import ConsumerRebalanceListener, TopicPartition

from libs.common.adapters.kafka.received import partition_of
from libs.common.background import begin, end
from libs.common.dead_letters import bury, dead_letter
from libs.common.domain.deliveries import Work
from libs.common.domain.errors import Poison
from libs.common.observability.metrics import Metrics
from libs.common.ports import Log, Received
from services.dispatcher.claims import Done
from services.dispatcher.entries import Entry, WorkGroup
from services.dispatcher.expansion import Expand
from services.dispatcher.handler import Prepared
from services.dispatcher.offsets import Offsets, Pressure, Source
from services.dispatcher.patience import Patience

_log = structlog.get_logger(__name__)

_GROUP = 128
"""Deliveries claimed by one insert: past it the insert's latency grows as fast as its throughput."""
_DEFECT_PAUSE = 5.0


@dataclass(frozen=True)
class LineLimits:
    """How much a line has in hand, and how long it waits for what is being sent when it must let go."""

    in_flight: int = 256
    """Deliveries claimed and not settled: what a crash may send again."""
    gathering: float = 0.0
    """Seconds that a record waits for others before its group is claimed, where they cost little more together. What
    came with many that fill several groups has waited once, not for each of them."""
    pressure: Pressure = field(default_factory=Pressure)
    drain_at_revoke: float = 5.0
    """Seconds; the member's heart does not beat meanwhile, and its session is 10."""
    drain_at_stop: float = 12.0


class Story(Protocol):
    """The part of `Dispatcher` that a line needs."""

    async def prepare(self, group: Sequence[Work], done: Done) -> list[Prepared]: ...
    async def deliver(self, prepared: Sequence[Prepared], done: Done) -> None: ...
    def stop(self) -> None: ...


@dataclass(frozen=True)
class Graveyard:
    """Where records go that cannot be read."""

    log: Log
    topic: str
    patience: Patience
    metrics: Metrics

    async def bury(self, record: Received, error: Poison, consumer: str) -> None:
        """Returns once the dead letter is on the log."""
        letter = dead_letter(record, self.topic, f"{type(error).__name__}: {error}", consumer)
        await self.patience.insist("dead-letter", lambda: bury(self.log, [letter]))
        _log.warning("record.poison", origin=record.origin, group=consumer, error=str(error))
        self.metrics.count("dead_letters", consumer=consumer)


Handler = Callable[[list[Received]], Awaitable[None]]
Connect = Callable[[Handler, ConsumerRebalanceListener], Source]
"""Makes the consumer that feeds a handler and tells a listener what happens to its partitions."""
Read = Callable[[Received], tuple[Work, ...]]
"""The deliveries of a record; raises `Poison`."""


class Line(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka has no type information
    """One consumer and the work on what it brings."""

    def __init__(
        self,
        connect: Connect,
        read: Read,
        story: Story,
        graveyard: Graveyard,
        limits: LineLimits | None = None,
        expand: Expand | None = None,
    ) -> None:
        self._limits = limits or LineLimits()
        self.source = connect(self.take_in, self)
        self.offsets = Offsets(self.source, self._limits.pressure)
        self._read = read
        self._expand = expand
        self._story = story
        self._graveyard = graveyard
        self._queue: deque[Entry] = deque()
        self._in_flight = 0
        self._working: Counter[TopicPartition] = Counter()
        """Entries of each partition that are worked on."""
        self._changed = asyncio.Event()
        self._closing = False
        self._loops: list[asyncio.Task[None]] = []
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        """Start to work; records may come before or after. A loop that breaks ends the process: the records of a line
        that stands still would wait for as long as it lives."""
        loops = {"work": self._work_forever(), "commit": self.offsets.commit_forever()}
        self._loops = [begin(loop, f"{self.source.group_id} {name}") for name, loop in loops.items()]

    # intake

    async def take_in(self, records: list[Received]) -> None:
        """Register the records and return. Nothing is awaited: between a poll and this there is no gap in which a
        rebalance could fall. What is not ours (any more) is left to its owner."""
        if self._closing:
            return
        assigned = self.offsets.assigned
        ours = [record for record in records if partition_of(record) in assigned]
        for record in ours:
            entry = Entry(self.offsets.register(record), record)
            try:
                self._admit(entry)
            except Poison as error:
                self._spawn(self._bury(entry, error))
        self.offsets.hold_back({partition_of(record) for record in ours})

    def _admit(self, entry: Entry) -> None:
        self._enqueue(entry)

    def _enqueue(self, entry: Entry) -> None:
        entry.since = asyncio.get_running_loop().time()
        self._queue.append(entry)
        self._changed.set()

    # work

    async def _work_forever(self) -> None:
        """One group after the other is claimed; what comes meanwhile is the next. Two at once made groups half as
        large, and with 50 events a second p99 245 ms instead of 165 on two slow cores."""
        while True:
            while not self._queue or self._in_flight >= self._limits.in_flight:
                self._changed.clear()
                await self._changed.wait()
            if self._limits.gathering:
                waited = asyncio.get_running_loop().time() - self._queue[0].since
                await asyncio.sleep(max(0.0, self._limits.gathering - waited))
            group = self._next_group()
            if group.entries:
                await self._see_to(group, self._begin(group))

    async def _begin(self, group: WorkGroup) -> None:
        if self._expand is not None:
            self._in_flight += group.expand(await self._expand(group.works))
        prepared = await self._story.prepare(group.works, group.done)
        self._spawn(self._see_to(group, self._story.deliver(prepared, group.done)))

    async def _see_to(self, group: WorkGroup, step: Coroutine[Any, Any, None]) -> None:
        """A defect of ours must lose nothing: what is left of the group comes again, after a pause."""
        try:
            await step
        except Exception:
            left = group.unfinished()
            _log.exception("group.defect", group=self.source.group_id, origins=[each.record.origin for each in left])
            self._spawn(self._again(left))

    async def _again(self, entries: Sequence[Entry]) -> None:
        await asyncio.sleep(_DEFECT_PAUSE)
        for entry in entries:
            self._in_flight -= len(entry.works or ())
            self._leave(entry)
            self._enqueue(entry)

    def _next_group(self) -> WorkGroup:
        entries: list[Entry] = []
        size, room = 0, min(_GROUP, self._limits.in_flight - self._in_flight)
        while self._queue and size < room:
            works = self._works_of(self._queue[0])
            if entries and size + len(works) > room:
                break
            entry = self._queue.popleft()
            if works:
                self._working[entry.ticket.partition] += 1
                entries.append(entry)
                size += len(works)
        self._in_flight += size
        return WorkGroup(entries, self._finish, self._count_down)

    def _works_of(self, entry: Entry) -> tuple[Work, ...]:
        """The deliveries of an entry that is still ours; an entry without any is done with here."""
        if not self.offsets.current(entry.ticket):
            return ()
        try:
            entry.works = self._read(entry.record) if entry.works is None else entry.works
        except Poison as error:
            self._spawn(self._bury(entry, error))
            return ()
        if not entry.works:
            self.offsets.done(entry.ticket)
        return entry.works

    def _count_down(self) -> None:
        self._in_flight -= 1
        self._changed.set()

    def _finish(self, entry: Entry) -> None:
        self._leave(entry)
        self.offsets.done(entry.ticket)

    def _leave(self, entry: Entry) -> None:
        self._working[entry.ticket.partition] -= 1
        self._changed.set()

    async def _bury(self, entry: Entry, error: Poison) -> None:
        await self._graveyard.bury(entry.record, error, self.source.group_id)
        self.offsets.done(entry.ticket)

    def _spawn(self, step: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(step)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # letting go

    async def on_partitions_revoked(self, revoked: Collection[TopicPartition]) -> None:
        """Drop what waits, finish what is being sent, commit, forget. What takes too long is left to its claim: the
        next owner puts it off until the lease is over."""
        self._drop(revoked)
        await self._drain(revoked, self._limits.drain_at_revoke)
        await self.offsets.commit(revoked)
        self.offsets.forget(revoked)

    async def on_partitions_assigned(self, assigned: Collection[TopicPartition]) -> None:
        """Nothing to do: what comes is registered as it comes."""

    async def close(self) -> None:
        """Stop taking in, finish what is being sent, put off what waits for its turn, commit. To be called before the
        broker is stopped."""
        self._closing = True
        self._story.stop()
        everything = list(self.offsets.assigned)
        self._drop({*everything, *(entry.ticket.partition for entry in self._queue)})
        await self._drain(list(self._working), self._limits.drain_at_stop)
        await self.offsets.commit()
        await end(*self._loops, *self._tasks)

    def _drop(self, partitions: Collection[TopicPartition]) -> None:
        self._queue = deque(entry for entry in self._queue if entry.ticket.partition not in partitions)

    async def _drain(self, partitions: Iterable[TopicPartition], seconds: float) -> None:
        wanted = list(partitions)
        try:
            async with asyncio.timeout(seconds):
                while any(self._working[partition] > 0 for partition in wanted):
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            _log.warning("line.drain_cut_short", group=self.source.group_id, in_flight=self._in_flight)
