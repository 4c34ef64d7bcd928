"""A line without a broker: what is handed over when, what is committed, what a rebalance and a stop leave behind."""

import asyncio
from datetime import timedelta

import msgspec
import pytest

from libs.common.domain.channels import Channel
from libs.common.domain.errors import Unavailable
from libs.common.testing.waiting import eventually
from services.dispatcher.line import Graveyard
from services.dispatcher.patience import Patience
from services.dispatcher.reading import read_retry
from services.dispatcher.records import retry_of
from services.dispatcher.retry_line import RetryLine
from tests.unit.dispatcher.conftest import START
from tests.unit.dispatcher.lines import HERE, THERE, working


async def test_a_record_is_committed_when_all_of_its_deliveries_are_done(place):
    await place.line.take_in([place.batch(0, "ann", "ben"), place.batch(1, "cem")])
    await working(place, 3)

    place.story.finish("cem", "ann")
    assert await place.committed() is None
    place.story.finish("ben")
    assert await place.committed() == 2


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

    draws = iter([0.5] * 6 + [0.0])
    patience = Patience(sleep, lambda: next(draws))

    async def call():
        tries.append(1)
        if len(tries) < 8:
            raise Unavailable("away")
        return "done"

    assert await patience.insist("settle", call) == "done"
    assert waits == [0.2, 0.5, 1.0, 2.0, 5.0, 5.0, 2.5]
    assert await patience.ready() == "ok"

    async def breaks():
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await patience.insist("settle", breaks)
