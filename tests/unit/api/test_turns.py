"""Who wants the same at the same time goes one after the other, and whoever waits can neither be piled up nor stay in
memory."""

import asyncio
from contextlib import suppress

import pytest

from libs.common.domain.errors import Unavailable
from services.api.limiting.turns import Turns


async def others_come_as_far_as_they_can() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


class Visit:
    """Somebody who takes a turn and keeps it until `leave`."""

    def __init__(self, turns: Turns, key: str) -> None:
        self.inside = False
        self.leave = asyncio.Event()
        self.task = asyncio.create_task(self._go(turns, key))

    async def _go(self, turns: Turns, key: str) -> None:
        async with turns.take(key):
            self.inside = True
            await self.leave.wait()


async def visits(turns: Turns, *keys: str) -> list[Visit]:
    """One for each key, as far as they get."""
    made = [Visit(turns, key) for key in keys]
    await others_come_as_far_as_they_can()
    return made


async def left(visit: Visit) -> None:
    visit.leave.set()
    await visit.task
    await others_come_as_far_as_they_can()


async def test_one_after_the_other_in_the_order_of_coming_and_only_for_the_same() -> None:
    turns = Turns(most_waiting=9)
    first, second, third, elsewhere = await visits(turns, "a", "a", "a", "b")
    inside = [[visit.inside for visit in (first, second, third, elsewhere)]]

    await left(first)
    inside.append([visit.inside for visit in (first, second, third, elsewhere)])

    assert inside == [[True, False, False, True], [True, True, False, True]]
    for visit in (second, third, elsewhere):
        await left(visit)


async def test_a_turn_that_ends_in_an_error_is_the_nexts() -> None:
    turns = Turns(most_waiting=9)

    with suppress(KeyError):
        async with turns.take("a"):
            raise KeyError

    async with asyncio.timeout(1), turns.take("a"):
        pass


async def test_only_so_many_wait_and_who_need_not_wait_is_never_refused() -> None:
    turns = Turns(most_waiting=2)
    there = await visits(turns, "a", "a", "b", "b")

    for taken in ("a", "b"):
        with pytest.raises(Unavailable):
            async with turns.take(taken):
                raise AssertionError("was not to get in")
    async with turns.take("c"):
        pass
    for visit in there:
        await left(visit)
    assert all(visit.inside for visit in there)


async def test_who_gives_up_waiting_makes_room_and_holds_up_nobody() -> None:
    turns = Turns(most_waiting=2)
    first, gives_up, third = await visits(turns, "a", "a", "a")

    gives_up.task.cancel()
    await others_come_as_far_as_they_can()
    [late] = await visits(turns, "a")
    for visit in (first, third, late):
        await left(visit)

    assert (gives_up.inside, third.inside, late.inside) == (False, True, True)


async def test_keys_are_forgotten_with_the_last_who_wanted_them() -> None:
    turns = Turns(most_waiting=9)
    first, second, gives_up = await visits(turns, "a", "a", "a")

    gives_up.task.cancel()
    await left(first)
    assert list(turns._queues) == ["a"]
    await left(second)

    assert (turns._queues, turns.waiting) == ({}, 0)
