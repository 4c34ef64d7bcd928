"""A line without a broker: what is handed over when, what is committed, what a rebalance and a stop leave behind."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import msgspec
import pytest
from aiokafka import TopicPartition

from libs.common.domain.channels import Channel
from libs.common.domain.errors import Unavailable
from libs.common.domain.messages import DeliveryBatch
from libs.common.observability.metrics import Metrics
from libs.common.ports import Received
from libs.common.testing.waiting import eventually
from services.dispatcher import line as line_module
from services.dispatcher.line import Graveyard, Limits, Line
from services.dispatcher.offsets import Pressure
from services.dispatcher.patience import Patience
from services.dispatcher.reading import read_batch, read_retry
from services.dispatcher.records import retry_of
from services.dispatcher.retry_line import RetryLine
from tests.unit.dispatcher.conftest import START

HERE, THERE = TopicPartition("batches", 0), TopicPartition("batches", 1)
LIMITS = Limits(
    in_flight=8, pressure=Pressure(high=20, low=5, span=40, weight=40_000), drain_at_revoke=0.05, drain_at_stop=0.05
)


class Consumer:
    """The native consumer's part."""

    def __init__(self):
        self.partitions = {HERE, THERE}
        self.paused = set()

    def assignment(self):
        return frozenset(self.partitions)

    def pause(self, *partitions):
        self.paused |= set(partitions)

    def resume(self, *partitions):
        self.paused -= set(partitions)


class Source:
    """The consumption's part."""

    group_id = "test"

    def __init__(self):
        self.consumer = Consumer()
        self.positions = {}
        self.away = False

    async def commit(self, positions):
        if self.away:
            return False
        self.positions |= positions
        return True


class Story:
    """Holds every delivery until it is told to finish it."""

    def __init__(self):
        self.groups = []
        self.held = {}
        self.finish_at_once = False
        self.defects = 0

    async def prepare(self, group, done):
        if self.defects:
            self.defects -= 1
            raise ZeroDivisionError
        self.groups.append(list(group))
        return [(work, done) for work in group]

    async def deliver(self, prepared, done):
        for work, _ in prepared:
            if self.finish_at_once:
                done(work)
            else:
                self.held.setdefault(work.subscriber_id, []).append((work, done))

    def stop(self):
        """As a dispatcher does with what it has not begun to send: it is put off, which is an end."""
        self.finish(*(each for each in self.held if each.startswith("queues")))

    def finish(self, *subscribers):
        for each in subscribers:
            for work, done in self.held.pop(each):
                done(work)


class Place:
    """A line and everything around it."""

    def __init__(self, world, limits=LIMITS):
        self.world = world
        self.source = Source()
        self.story = Story()
        self.log = world.log
        self.metrics = Metrics()
        graveyard = Graveyard(self.log, "dead-letters", Patience(lambda _: asyncio.sleep(0)), self.metrics)
        self.line = Line(
            lambda handler, listener: self.source,
            lambda record: read_batch(record.value, record.headers, Channel.EMAIL),
            self.story,
            graveyard,
            limits,
        )

    def batch(self, offset, *subscribers, partition=HERE):
        value = msgspec.json.encode(
            DeliveryBatch(event=self.world.event(offset), channel=Channel.EMAIL, subscribers=subscribers)
        )
        return self.record(offset, value, partition)

    def record(self, offset, value, partition=HERE):
        return Received(partition.topic, partition.partition, offset, b"k", value, (), 0)

    async def committed(self):
        await self.line.offsets.commit()
        return self.source.positions.get(HERE)


@pytest.fixture
async def place(world, monkeypatch):
    monkeypatch.setattr(line_module, "_DEFECT_PAUSE", 0.01)
    place = Place(world)
    place.line.start()
    yield place
    await place.line.close()


async def working(place, number):
    await eventually(lambda: sum(map(len, place.story.held.values())) == number)


async def test_a_record_is_committed_when_all_of_its_deliveries_are_done(place):
    await place.line.take_in([place.batch(0, "ann", "ben"), place.batch(1, "cem")])
    await working(place, 3)

    place.story.finish("cem", "ann")
    assert await place.committed() is None
    place.story.finish("ben")
    assert await place.committed() == 2


async def test_what_waits_is_handed_over_in_groups(place):
    """While as much as may be is in flight, the rest waits and goes together."""
    await place.line.take_in([place.batch(0, *(f"early-{number}" for number in range(8)))])
    await working(place, 8)
    await place.line.take_in([place.batch(1 + number, f"late-{number}") for number in range(6)])
    assert len(place.story.groups) == 1

    place.story.finish(*(f"early-{number}" for number in range(8)))
    await working(place, 6)
    assert [len(group) for group in place.story.groups] == [8, 6]


async def test_what_comes_while_a_group_is_claimed_is_the_next_group(place, monkeypatch):
    """Two were claimed at once: groups were half as large, and each cost the database as much."""
    claimed, prepare = asyncio.Event(), place.story.prepare

    async def slow(group, done):
        prepared = await prepare(group, done)
        await claimed.wait()
        return prepared

    monkeypatch.setattr(place.story, "prepare", slow)
    await place.line.take_in([place.batch(0, "first")])
    await eventually(lambda: len(place.story.groups) == 1)
    for number in range(1, 4):
        await place.line.take_in([place.batch(number, f"late-{number}")])
        await asyncio.sleep(0)
    claimed.set()

    await working(place, 4)
    assert [len(group) for group in place.story.groups] == [1, 3]


async def test_where_it_pays_the_first_of_a_group_waits_for_others(world):
    place = Place(world, replace(LIMITS, gathering=0.05))
    place.line.start()
    for number in range(3):
        await place.line.take_in([place.batch(number, f"p{number}")])
        await asyncio.sleep(0.001)

    await working(place, 3)
    await place.line.close()
    assert [len(group) for group in place.story.groups] == [3]


async def test_a_batch_without_anybody_is_done(place):
    await place.line.take_in([place.batch(0)])
    await eventually(lambda: bool(place.line.offsets._tracker.watermarks()))
    assert await place.committed() == 1


async def test_poison_is_buried_and_passed(place):
    place.story.finish_at_once = True
    await place.line.take_in([place.record(0, b"{"), place.batch(1, "ann"), place.record(2, None)])

    async def all_committed():
        return await place.committed() == 3

    await eventually(all_committed)
    assert [record.value for record in place.log.of("dead-letters")] == [b"{", None]
    count = place.metrics.registry.get_sample_value("sigmora_dead_letters_total", {"consumer": "test"})
    assert count == 2


async def test_poison_that_cannot_be_buried_is_not_passed(place):
    place.log.away = True
    place.story.finish_at_once = True
    await place.line.take_in([place.record(0, b"{"), place.batch(1, "ann")])
    await eventually(lambda: bool(place.story.groups))
    assert await place.committed() is None

    place.log.away = False

    async def all_committed():
        return await place.committed() == 2

    await eventually(all_committed)


async def test_a_defect_of_ours_loses_nothing(place):
    place.story.defects = 2
    place.story.finish_at_once = True
    await place.line.take_in([place.batch(0, *(f"p{number}" for number in range(8)))])

    async def all_committed():
        return await place.committed() == 1

    await eventually(all_committed)


async def test_a_partition_is_paused_when_enough_is_in_hand_and_resumed_when_little_is_left(place):
    await place.line.take_in([place.batch(number, f"p{number}") for number in range(20)])
    assert place.source.consumer.paused == {HERE}

    place.story.finish_at_once = True
    await eventually(lambda: not place.source.consumer.paused)


async def test_a_partition_of_large_records_is_paused_by_their_bytes(place):
    """By their number alone, a thousand that waited took 1.7 GB, and took them again after each restart."""
    large = [place.batch(number, f"p{number}" + "x" * 10_000) for number in range(4)]
    await place.line.take_in(large[:3])
    assert place.source.consumer.paused == set()
    await place.line.take_in(large[3:])
    assert place.source.consumer.paused == {HERE}

    place.story.finish_at_once = True
    await eventually(lambda: not place.source.consumer.paused)


async def test_what_waits_for_its_time_is_kept_as_it_came(place):
    """Read, it takes seven times the memory."""
    retry = retry_of(place.world.work("ann"), 2, START + timedelta(hours=1), START, "http_503")
    graveyard = Graveyard(place.log, "dead-letters", Patience(), place.metrics)

    def read(record):
        return read_retry(record.value, record.headers, Channel.EMAIL)

    def connect(handler, listener):
        return place.source

    line = RetryLine(Channel.EMAIL, connect, read, place.story, graveyard, lambda: place.world.now, place.metrics)
    await line.take_in([place.record(0, msgspec.json.encode(retry))])

    [(_, entry)] = line.gate._partitions[HERE].held
    assert entry.works is None
    await line.close()


async def test_one_slow_delivery_pauses_its_partition_only_when_a_crash_would_repeat_too_much(place):
    """The others of its partition go on beyond it, but not for ever."""
    await place.line.take_in([place.batch(0, "slow")])
    await working(place, 1)
    place.story.finish_at_once = True
    for start in (1, 11, 21, 31):
        await place.line.take_in([place.batch(start + number, f"p{start + number}") for number in range(10)])
        await eventually(lambda: place.line.offsets._tracker.pending(HERE) == 1)
    assert place.source.consumer.paused == {HERE}

    place.story.finish("slow")
    assert place.source.consumer.paused == set()
    assert await place.committed() == 41


async def test_what_is_not_ours_is_left_to_its_owner(place):
    place.source.consumer.partitions = {THERE}
    await place.line.take_in([place.batch(0, "ann")])
    await asyncio.sleep(0)
    assert place.story.groups == []


async def test_what_waits_is_not_worked_on_when_its_partition_is_read_again(place):
    await place.line.take_in([place.batch(0, *(f"p{number}" for number in range(8))), place.batch(1, "waiting")])
    await working(place, 8)
    await place.line.take_in([place.batch(1, "again")])

    place.story.finish(*(f"p{number}" for number in range(8)))
    await working(place, 1)

    assert list(place.story.held) == ["again"]


async def test_a_rebalance_finishes_what_is_being_sent_and_drops_what_waits(place):
    await place.line.take_in([place.batch(0, *(f"p{number}" for number in range(8))), place.batch(1, "waiting")])
    await working(place, 8)

    revoking = asyncio.create_task(place.line.on_partitions_revoked({HERE}))
    await asyncio.sleep(0)
    place.story.finish(*(f"p{number}" for number in range(8)))
    await revoking

    assert place.source.positions == {HERE: 1}
    await asyncio.sleep(0)
    assert len(place.story.groups) == 1, "the one that waited belongs to the next owner"


async def test_what_a_rebalance_could_not_wait_for_is_not_committed_later(place):
    await place.line.take_in([place.batch(0, "slow")])
    await working(place, 1)
    await place.line.on_partitions_revoked({HERE})

    place.story.finish("slow")
    assert await place.committed() is None

    await place.line.take_in([place.batch(0, "again")])
    await working(place, 1)
    assert await place.committed() is None


async def test_an_offset_that_could_not_be_committed_is_committed_later(place):
    place.story.finish_at_once = True
    place.source.away = True
    await place.line.take_in([place.batch(0, "ann")])
    await eventually(lambda: bool(place.line.offsets._tracker.watermarks()))
    assert await place.committed() is None

    place.source.away = False
    assert await place.committed() == 1


async def test_a_stop_finishes_what_is_being_sent_and_takes_nothing_in(place):
    await place.line.take_in([place.batch(0, "ann")])
    await working(place, 1)
    stopping = asyncio.create_task(place.line.close())
    await asyncio.sleep(0)
    await place.line.take_in([place.batch(1, "ben")])
    place.story.finish("ann")
    await stopping

    assert place.source.positions == {HERE: 1}
    assert len(place.story.groups) == 1


async def test_a_stop_waits_for_no_message_that_has_not_had_its_turn(place):
    """Its story is told first: nothing that queues for a provider uses up the time for what is being sent."""
    await place.line.take_in([place.batch(0, "ann", "queues-1"), place.batch(1, "queues-2")])
    await working(place, 3)
    stopping = asyncio.create_task(place.line.close())
    await eventually(lambda: list(place.story.held) == ["ann"])
    place.story.finish("ann")
    await stopping

    assert place.source.positions == {HERE: 2}


async def test_patience_waits_only_for_what_may_come_back():
    waits, tries = [], []

    async def sleep(seconds):
        waits.append(seconds)
        with pytest.raises(Unavailable, match="settle: away"):
            await patience.ready()

    patience = Patience(sleep)

    async def call():
        tries.append(1)
        if len(tries) < 8:
            raise Unavailable("away")
        return "done"

    assert await patience.insist("settle", call) == "done"
    assert waits == [0.2, 0.5, 1.0, 2.0, 5.0, 5.0, 5.0]
    assert await patience.ready() == "ok"

    async def breaks():
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await patience.insist("settle", breaks)
