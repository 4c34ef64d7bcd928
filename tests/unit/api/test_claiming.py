"""Claims of concurrent requests share a write, and nobody gets another's answer."""

import asyncio
from datetime import UTC, datetime

import pytest

from libs.common.domain.claims import RequestClaim
from libs.common.domain.errors import Unavailable
from libs.common.testing.claims import MemoryClaims
from services.api.claiming import Claims


def claim(key: str, fingerprint: str = "f") -> RequestClaim:
    """A claim."""
    return RequestClaim(
        id=key, tenant="acme", fingerprint=fingerprint, event_id=key, created_at=datetime(2030, 1, 1, tzinfo=UTC)
    )


async def test_concurrent_claims_are_one_write() -> None:
    store = MemoryClaims()
    claims = Claims(store)

    there = await asyncio.gather(*(claims.make([claim(str(n))]) for n in range(20)))

    assert (there, store.inserts) == ([{}] * 20, 1)
    assert await claims.make([claim("3", "other")]) == {"3": claim("3")}


async def test_of_two_with_one_key_in_one_write_the_second_is_told_of_the_first() -> None:
    claims = Claims(MemoryClaims())

    answers = await asyncio.gather(claims.make([claim("k", "first")]), claims.make([claim("k", "second")]))

    assert answers[1] == {"k": claim("k", "first")}


async def test_whoever_gives_up_takes_nobody_along() -> None:
    store = MemoryClaims()
    claims = Claims(store)
    first = asyncio.create_task(claims.make([claim("1")]))
    second = asyncio.create_task(claims.make([claim("2")]))
    await asyncio.sleep(0)

    first.cancel()

    assert await second == {}
    assert await store.find_event("acme", "1") is not None


async def test_a_write_that_fails_is_told_to_all_and_the_next_is_a_new_one() -> None:
    store = MemoryClaims()
    claims = Claims(store)
    store.away = True

    answers = await asyncio.gather(*(claims.make([claim(str(n))]) for n in range(3)), return_exceptions=True)
    store.away = False

    assert [type(answer) for answer in answers] == [Unavailable] * 3
    assert await claims.make([claim("0")]) == {}


@pytest.mark.parametrize("count", [500, 501])
async def test_many_claims_wait_for_nobody(count: int) -> None:
    store = MemoryClaims()

    await asyncio.gather(*(Claims(store).make([claim(f"{n}-{i}") for i in range(count)]) for n in range(2)))

    assert store.inserts == 2
