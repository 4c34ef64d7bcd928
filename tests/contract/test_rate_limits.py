"""What every store of shared counts keeps to: the one in memory, and MongoDB's."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from libs.common.adapters.mongo.connect import open_database
from libs.common.adapters.mongo.rate_limits import MongoRates
from libs.common.settings import MongoSettings
from libs.common.testing.rate_limits import MemoryRates
from services.api.limiting.buckets import Buckets

pytestmark = pytest.mark.integration

NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)
LATER = NOON + timedelta(hours=1)


@pytest.fixture(params=["memory", "mongo"])
async def rates(request: pytest.FixtureRequest) -> AsyncIterator[Any]:
    """A store without counts."""
    if request.param == "memory":
        yield MemoryRates()
        return
    stack, name = request.getfixturevalue("stack"), request.getfixturevalue("database_name")
    async with open_database(MongoSettings(uri=stack.mongodb_uri, db=name), create_indexes=True):
        yield MongoRates()


async def test_what_many_take_at_once_adds_up(rates: Any) -> None:
    taken = await asyncio.gather(*(rates.take("a", 5, LATER) for _ in range(10)))

    assert sorted(taken) == list(range(5, 55, 5))
    assert await rates.take("b", 1, LATER) == 1


async def test_processes_on_one_database_share_a_limit(rates: Any) -> None:
    processes = [Buckets(rates, lambda: NOON) for _ in range(3)]

    answers = await asyncio.gather(*(processes[n % 3].spend("key|a", 60) for n in range(180)))

    assert sum(answer.allowed for answer in answers) <= 60
    assert sum(answer.allowed for answer in answers) >= 50


def delay(attempts: int) -> timedelta:
    """Two seconds from the third attempt on."""
    return timedelta(seconds=2) if attempts >= 3 else timedelta()


async def begin(rates: Any, attempt: str = "a", now: datetime = NOON) -> datetime | None:
    found: datetime | None = await rates.begin_attempt(attempt, now, LATER, delay)
    return found


async def test_attempts_are_counted_until_they_are_blocked(rates: Any) -> None:
    until = NOON + timedelta(seconds=2)

    assert [await begin(rates) for _ in range(4)] == [None, None, None, until]
    assert await begin(rates, now=until) is None
    assert await begin(rates, now=until) == until + timedelta(seconds=2)
    assert await begin(rates, "b") is None
    await rates.forget_attempt("a")
    assert [await begin(rates) for _ in range(4)] == [None, None, None, until]


async def test_an_attempt_that_read_the_clock_before_the_first_one_was_written_is_not_blocked(rates: Any) -> None:
    """Of people who came at once with the right password, one was told to come back later."""
    await begin(rates, now=NOON + timedelta(milliseconds=5))

    assert await begin(rates) is None


async def test_of_many_attempts_at_once_no_more_get_through_than_one_after_the_other(rates: Any) -> None:
    """The count and the block were two writes: all that came in between got through."""
    begun = await asyncio.gather(*(begin(rates) for _ in range(40)))

    assert begun.count(None) == 3
