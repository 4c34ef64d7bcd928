"""Which deliveries a line claims together."""

import asyncio
from dataclasses import replace

from libs.common import background
from libs.common.testing.waiting import eventually
from services.dispatcher import line as line_module
from tests.unit.dispatcher.lines import LIMITS, Place, working


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


async def test_what_fills_several_groups_waits_once_and_not_for_each(world, monkeypatch):
    """A record holds up to a hundred: a broadcast to ten thousand slept for ten seconds, a tenth before each group."""
    pauses, sleep = [], asyncio.sleep

    async def noted(seconds):
        pauses.append(seconds)
        await sleep(seconds)

    place = Place(world, replace(LIMITS, gathering=0.05))
    place.story.finish_at_once = True
    await place.line.take_in([place.batch(number, *(f"p{number}-{each}" for each in range(8))) for number in range(5)])
    monkeypatch.setattr(line_module.asyncio, "sleep", noted)
    working = asyncio.create_task(place.line._work_forever())

    await eventually(lambda: len(place.story.groups) == 5)
    working.cancel()
    await place.line.close()

    waits = [seconds for seconds in pauses if seconds != 0.01]  # those of `eventually`
    assert [seconds > 0 for seconds in waits] == [True, False, False, False, False]


async def test_a_line_whose_loop_breaks_ends_the_process(place, monkeypatch):
    """It stood still in silence: alive, ready, and its records waited for as long as the process lived."""
    ended = []
    monkeypatch.setattr(background, "end_process", lambda: ended.append("ended"))

    def defect(_record):
        raise ZeroDivisionError

    monkeypatch.setattr(place.line, "_read", defect)
    await place.line.take_in([place.batch(0, "ann")])

    await eventually(lambda: ended == ["ended"])
