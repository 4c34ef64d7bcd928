"""What every cache keeps to, and what memcached may do wrong without anybody noticing more than slowness."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest

from libs.common.adapters.cache.choosing import open_cache
from libs.common.adapters.cache.memcached import BACK_OFF, MemcachedCache
from libs.common.adapters.cache.memory import MemoryCache
from libs.common.adapters.cache.nothing import NoCache
from libs.common.caching import Cache, Lookup
from libs.common.settings import CacheSettings
from libs.common.testing.memcached import MemcachedDouble, memcached_double

TTL = timedelta(seconds=60)
ANN, BOB = ("people:ann", "contact"), ("people:bob", "contact")


class Time:
    """Both clocks."""

    def __init__(self) -> None:
        self.seconds = 1_000_000.0

    def monotonic(self) -> float:
        """Seconds."""
        return self.seconds

    def now(self) -> datetime:
        """The time of day."""
        return datetime.fromtimestamp(self.seconds, UTC)


@pytest.fixture
def clocks() -> Time:
    """A time that stands still."""
    return Time()


@pytest.fixture
async def memcached() -> AsyncIterator[MemcachedDouble]:
    """A memcached."""
    async with memcached_double() as double:
        yield double


@asynccontextmanager
async def client_of(port: int, clocks: Time, within: float = 2) -> AsyncIterator[MemcachedCache]:
    """A client of a memcached on this port."""
    cache = MemcachedCache(
        "127.0.0.1",
        port,
        ttl=TTL,
        timeout=timedelta(seconds=within),
        clock=clocks.now,
        monotonic=clocks.monotonic,
    )
    try:
        yield cache
    finally:
        await cache.close()


@pytest.fixture
async def shared(memcached: MemcachedDouble, clocks: Time) -> AsyncIterator[MemcachedCache]:
    """A client of it."""
    async with client_of(memcached.port, clocks) as cache:
        yield cache


@pytest.fixture(params=["lru", "memcache"])
async def cache(request: pytest.FixtureRequest, clocks: Time) -> AsyncIterator[Cache]:
    """A cache that keeps something."""
    if request.param == "lru":
        yield MemoryCache(TTL, clocks.monotonic)
        return
    async with memcached_double() as double, client_of(double.port, clocks) as client:
        yield client


async def remember(cache: Cache, place: tuple[str, str], value: bytes) -> None:
    await cache.set(place, value, await cache.get_many([place]))


async def recall(cache: Cache, *places: tuple[str, str]) -> dict[tuple[str, str], bytes]:
    return dict((await cache.get_many(places)).values)


async def test_what_was_set_is_found(cache: Cache) -> None:
    await remember(cache, ANN, b"ann\r\n\x00")
    assert await recall(cache, ANN, BOB) == {ANN: b"ann\r\n\x00"}
    assert await recall(cache) == {}


async def test_keys_of_a_namespace_are_apart_and_may_be_anything(cache: Cache) -> None:
    odd = ("people:" + "é " * 300, "\r\nget x\r\n")
    await remember(cache, ANN, b"1")
    await remember(cache, odd, b"2")
    await remember(cache, ("people:ann", "other"), b"3")
    assert await recall(cache, ANN, odd, ("people:ann", "other"), ANN) == {
        ANN: b"1",
        odd: b"2",
        ("people:ann", "other"): b"3",
    }


async def test_an_invalidated_namespace_is_forgotten_and_no_other(cache: Cache) -> None:
    for place in (ANN, BOB, ("people:ann", "other")):
        await remember(cache, place, b"old")
    await cache.invalidate("people:ann")
    assert await recall(cache, ANN, BOB, ("people:ann", "other")) == {BOB: b"old"}
    await remember(cache, ANN, b"new")
    assert await recall(cache, ANN) == {ANN: b"new"}


async def test_what_was_read_before_an_invalidation_is_not_kept_after_it(cache: Cache) -> None:
    """A reader missed, read the old value from the database, and was overtaken by a writer."""
    lookup = await cache.get_many([ANN])
    await cache.invalidate("people:ann")
    await cache.set(ANN, b"old", lookup)
    assert await recall(cache, ANN) == {}


async def test_an_invalidation_keeps_nobody_else_from_filling(clocks: Time) -> None:
    """Every change of a person went through all that was kept, and voided every look-up that was under way."""
    cache = MemoryCache(TTL, clocks.monotonic)
    lookup = await cache.get_many([BOB])
    await cache.invalidate("people:ann")
    await cache.set(BOB, b"1", lookup)
    assert await recall(cache, BOB) == {BOB: b"1"}


async def test_a_value_too_large_to_keep_is_a_miss(clocks: Time) -> None:
    cache = MemoryCache(TTL, clocks.monotonic, max_bytes=1_000)
    await remember(cache, ANN, b"x" * 2_000)
    assert await recall(cache, ANN) == {}


async def test_the_memory_is_bounded_and_the_least_used_goes_first(clocks: Time) -> None:
    cache = MemoryCache(TTL, clocks.monotonic, max_bytes=1_000)
    for place in (ANN, BOB):
        await remember(cache, place, b"x" * 200)
    await recall(cache, ANN)
    await remember(cache, ("people:eve", "contact"), b"x" * 200)
    assert set(await recall(cache, ANN, BOB)) == {ANN}


async def test_what_is_in_memory_lasts_for_its_time(clocks: Time) -> None:
    cache = MemoryCache(TTL, clocks.monotonic)
    await remember(cache, ANN, b"1")
    clocks.seconds += 59
    assert await recall(cache, ANN) == {ANN: b"1"}
    clocks.seconds += 2
    assert await recall(cache, ANN) == {}


async def test_memcached_is_told_how_long_a_value_lasts(memcached: MemcachedDouble, shared: MemcachedCache) -> None:
    await remember(shared, ANN, b"1")
    assert sorted(memcached.exptimes.values()) == [0, 60], "a namespace's version does not expire, a value does"


async def test_no_cache_keeps_nothing() -> None:
    cache = NoCache()
    await remember(cache, ANN, b"1")
    await cache.invalidate("people:ann")
    assert await recall(cache, ANN) == {}


async def test_processes_share_memcached(memcached: MemcachedDouble, shared: MemcachedCache, clocks: Time) -> None:
    async with client_of(memcached.port, clocks) as other:
        await remember(shared, ANN, b"old")
        assert await recall(other, ANN) == {ANN: b"old"}
        await other.invalidate("people:ann")
        assert await recall(shared, ANN) == {}


async def test_a_memcached_that_forgot_everything_is_filled_again(
    memcached: MemcachedDouble, shared: MemcachedCache, clocks: Time
) -> None:
    await remember(shared, ANN, b"old")
    before = await shared.get_many([ANN])
    memcached.flush()
    clocks.seconds += 1
    assert await recall(shared, ANN) == {}
    await shared.set(ANN, b"old", before)
    assert await recall(shared, ANN) == {}, "a version is not given twice"
    await remember(shared, ANN, b"new")
    assert await recall(shared, ANN) == {ANN: b"new"}


Call = Callable[[MemcachedCache, Lookup], Awaitable[object]]
CALLS: dict[str, Call] = {
    "get": lambda cache, _: cache.get_many([ANN, BOB]),
    "set": lambda cache, lookup: cache.set(ANN, b"new", lookup),
    "invalidate": lambda cache, _: cache.invalidate("people:ann"),
}


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("fault", ["hang", "drop", "half", "garbage", "nothing", "no_size"])
async def test_whatever_memcached_does_nobody_sees_an_error(
    memcached: MemcachedDouble, clocks: Time, fault: str, call: str
) -> None:
    async with client_of(memcached.port, clocks, within=0.05) as cache:
        await remember(cache, ANN, b"ann")
        lookup = await cache.get_many([BOB, ANN])
        memcached.fault = fault
        await CALLS[call](cache, lookup)

        asked = len(memcached.commands)
        assert await recall(cache, BOB) == {}
        assert len(memcached.commands) == asked, "it is left alone for a while"

        memcached.fault = ""
        clocks.seconds += BACK_OFF + 0.1
        await remember(cache, BOB, b"bob")
        found = await recall(cache, ANN, BOB)
        assert found.pop(BOB) == b"bob"
        assert found in ({}, {ANN: b"ann"}, {ANN: b"new"})
        if call == "invalidate":
            assert found == {}, "this process changed it: it must never see the old one again"


async def test_an_invalidation_that_was_lost_holds_here_until_the_values_have_expired(
    memcached: MemcachedDouble, clocks: Time
) -> None:
    async with client_of(memcached.port, clocks, within=0.05) as cache:
        await remember(cache, ANN, b"old")
        memcached.fault = "drop"
        await cache.invalidate("people:ann")
        memcached.fault = ""
        clocks.seconds += TTL.total_seconds() - 1
        await remember(cache, ANN, b"older still")
        assert await recall(cache, ANN) == {}
        clocks.seconds += 2
        memcached.flush()  # as it would have by now
        await remember(cache, ANN, b"new")
        assert await recall(cache, ANN) == {ANN: b"new"}


async def test_a_memcached_that_is_not_there_costs_one_attempt(clocks: Time) -> None:
    async with memcached_double() as double:
        port = double.port
    async with client_of(port, clocks) as cache:
        for call in CALLS.values():
            await call(cache, Lookup({}, {"people:ann": 1}))
        assert await recall(cache, ANN) == {}


async def test_a_hanging_memcached_costs_one_timeout_however_many_ask(memcached: MemcachedDouble, clocks: Time) -> None:
    async with client_of(memcached.port, clocks, within=0.05) as cache:
        memcached.fault = "hang"
        await asyncio.gather(*(cache.get_many([ANN]) for _ in range(100)))
    assert len(memcached.commands) == 1


async def test_a_look_up_does_not_stand_in_line_for_long(memcached: MemcachedDouble, clocks: Time) -> None:
    """One connection, and each that it takes long with: a process's look-ups came one after the other."""
    async with client_of(memcached.port, clocks, within=0.2) as cache:
        await remember(cache, BOB, b"bob")
        await cache._one_at_a_time.acquire()  # somebody is being served, and slowly
        assert await recall(cache, BOB) == {}
        cache._one_at_a_time.release()
        assert await recall(cache, BOB) == {BOB: b"bob"}, "that it was busy does not mean that it is away"


async def test_a_caller_who_gives_up_leaves_no_answer_behind_for_the_next(
    memcached: MemcachedDouble, shared: MemcachedCache
) -> None:
    await remember(shared, ANN, b"ann")
    await remember(shared, BOB, b"bob")
    memcached.fault = "hang"
    memcached.commanded.clear()
    waiting = asyncio.create_task(shared.get_many([ANN]))
    await memcached.commanded.wait()
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    memcached.fault = ""
    assert await recall(shared, BOB) == {BOB: b"bob"}


@pytest.mark.parametrize(
    ("settings", "kind"),
    [
        ({"cache_backend": "none"}, NoCache),
        ({"cache_backend": "lru"}, MemoryCache),
        ({"cache_backend": "lru", "cache_ttl_seconds": 0}, NoCache),
        ({"cache_backend": "memcache"}, MemcachedCache),
        ({}, MemoryCache),
    ],
)
async def test_the_settings_choose(settings: dict[str, object], kind: type[Cache]) -> None:
    async with open_cache(CacheSettings(**settings)) as cache:
        assert isinstance(cache, kind)
