"""Calls that come together share a round trip, and neither a failure nor a defect of one is lost or spread."""

import asyncio
from collections.abc import Sequence

import pytest

from libs.common.domain.errors import Unavailable
from libs.common.gathering import Gathering


class Server:
    """Doubles numbers; chokes on 13; may be away."""

    def __init__(self) -> None:
        self.calls: list[list[int]] = []
        self.away = False

    async def double(self, numbers: Sequence[int]) -> dict[int, int]:
        self.calls.append(list(numbers))
        await asyncio.sleep(0)
        if self.away:
            raise Unavailable("away")
        if 13 in numbers:
            raise ValueError("13")
        return {number: 2 * number for number in numbers}


@pytest.fixture
def server() -> Server:
    return Server()


async def test_what_is_asked_together_is_one_call(server: Server) -> None:
    asking = Gathering(server.double, enough=10)

    answers = await asyncio.gather(asking.ask([1, 2]), asking.ask([3]))
    later = await asking.ask([4])

    assert server.calls == [[1, 2, 3], [4]]
    assert answers == [{1: 2, 2: 4, 3: 6}] * 2
    assert later == {4: 8}


async def test_enough_of_them_wait_for_nobody(server: Server) -> None:
    asking = Gathering(server.double, enough=2)

    await asyncio.gather(asking.ask([1]), asking.ask([2, 3]))

    assert server.calls == [[2, 3], [1]]


async def test_that_the_server_is_away_is_told_to_all_and_the_next_call_is_a_new_one(server: Server) -> None:
    asking = Gathering(server.double, enough=10)
    server.away = True

    answers = await asyncio.gather(asking.ask([1]), asking.ask([2]), return_exceptions=True)
    server.away = False

    assert [type(answer) for answer in answers] == [Unavailable] * 2
    assert await asking.ask([3]) == {3: 6}


async def test_a_defect_is_left_to_whoever_caused_it(server: Server) -> None:
    """A delivery that no database can store would have failed those of every channel and lane."""
    asking = Gathering(server.double, enough=10)

    answers = await asyncio.gather(asking.ask([1]), asking.ask([13]), asking.ask([2]), return_exceptions=True)

    assert [answers[0], answers[2]] == [{1: 2}, {2: 4}]
    assert isinstance(answers[1], ValueError)


async def test_whoever_gives_up_takes_nobody_along(server: Server) -> None:
    asking = Gathering(server.double, enough=10)
    first, second = asyncio.create_task(asking.ask([1])), asyncio.create_task(asking.ask([2]))
    await asyncio.sleep(0)

    first.cancel()

    assert (await second)[2] == 4
    assert first.cancelled() or first.cancelling()
