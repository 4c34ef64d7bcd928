"""Whoever calls too often is told to wait, by key and by address. All processes share the counts."""

import asyncio
from typing import Any

import pytest
from litestar.testing import AsyncTestClient

from libs.common.testing.rate_limits import MemoryRates
from services.api.limiting.addresses import TrustedProxies
from services.api.limiting.buckets import Buckets
from tests.unit.api.proxies import behind_proxy

World = Any
EVENT = {"topic": "tech", "title": "Hello"}


STRICT = {"rate_limit_per_key": 5, "rate_limit_per_address": 3, "rate_limit_login_failures": 8}


async def test_a_key_has_so_many_requests_a_minute(world: World) -> None:
    async with behind_proxy(world, **STRICT) as strict:
        answers = [await strict.post("/v1/events", json=EVENT, headers=world.key) for _ in range(7)]

        assert [answer.status_code for answer in answers] == [202] * 5 + [429] * 2
        assert [answer.headers["ratelimit-remaining"] for answer in answers[:5]] == ["4", "3", "2", "1", "0"]
        refused = answers[-1]
        assert (refused.json()["type"], refused.headers["ratelimit-limit"]) == ("/problems/too-many-requests", "5")
        assert 1 <= int(refused.headers["retry-after"]) <= 60
        world.pass_time(int(refused.headers["retry-after"]))
        assert (await strict.post("/v1/events", json=EVENT, headers=world.key)).status_code == 202


@pytest.mark.parametrize("junk", [{"X-API-Key": "x"}, {"Authorization": "Bearer sk_x"}])
@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/stats"), ("POST", "/token"), ("POST", "/subscribe"), ("GET", "/preferences")]
)
async def test_what_only_looks_like_a_key_is_no_way_around_the_limit_of_an_address(
    world: World, method: str, path: str, junk: dict[str, str]
) -> None:
    """Where no key is asked for, nobody looked at it, and nobody counted."""
    async with behind_proxy(world, **STRICT) as strict:
        at = {"X-Forwarded-For": "203.0.113.7", **junk}
        answers = [await strict.request(method, path, headers=at) for _ in range(5)]

    assert [answer.status_code == 429 for answer in answers] == [False] * 3 + [True] * 2


@pytest.mark.parametrize("key", ["sk_x_0123456789abcdef0123", "the good one"])
@pytest.mark.parametrize(
    ("query", "headers", "refused"),
    [("?key=sk_x_0123456789abcdef0123", {}, 401), ("", {"Content-Encoding": "gzip"}, 415)],
)
async def test_what_is_refused_before_its_key_is_looked_at_counts_for_its_address(
    world: World, query: str, headers: dict[str, str], refused: int, key: str
) -> None:
    """Left to the guard to be counted, and refused before it did: whoever wrote anything into X-API-Key had no
    limit."""
    given = world.key if key == "the good one" else {"X-API-Key": key}
    async with behind_proxy(world, **STRICT) as strict:
        at = {"X-Forwarded-For": "203.0.113.7", **given, **headers}
        codes = [(await strict.post("/v1/events" + query, json=EVENT, headers=at)).status_code for _ in range(5)]
        of_the_key = [(await strict.get("/notifications/n", headers=world.key)).status_code for _ in range(6)]

    assert codes == [refused] * 3 + [429] * 2
    assert of_the_key == [404] * 5 + [429]


async def test_a_route_for_keys_and_people_counts_each_request_once(world: World) -> None:
    person = await world.person()
    async with behind_proxy(world, **STRICT) as strict:
        at = {"X-Forwarded-For": "203.0.113.7"}
        by_person = [await strict.get("/notifications/n", headers={**at, **person}) for _ in range(4)]
        by_key = [await strict.get("/notifications/n", headers={**at, **world.key}) for _ in range(6)]

    assert [answer.status_code for answer in by_person] == [404] * 3 + [429]
    assert [answer.status_code for answer in by_key] == [404] * 5 + [429]


async def test_an_address_without_a_key_has_fewer(world: World) -> None:
    """And a key that is none is no way around; probes are not counted."""
    async with behind_proxy(world, **STRICT) as strict:
        at = {"X-Forwarded-For": "203.0.113.7"}
        answers = [await strict.get("/stats", headers=at) for _ in range(3)]
        answers.append(await strict.get("/stats", headers=at))
        forged = await strict.post("/v1/events", json=EVENT, headers={**at, "X-API-Key": "sk_x_0123456789abcdef0123"})

        assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
        assert forged.status_code == 429
        assert (await strict.get("/livez", headers=at)).status_code == 200
        assert (await strict.get("/stats", headers={"X-Forwarded-For": "203.0.113.8"})).status_code == 200
        assert (await strict.post("/v1/events", json=EVENT, headers={**at, **world.key})).status_code == 202


async def test_rotating_what_a_caller_may_write_does_not_help(world: World) -> None:
    """The proxy appends the real address; everything left of it is the caller's invention."""
    async with behind_proxy(world, **STRICT) as strict:
        answers = [
            await strict.get("/stats", headers={"X-Forwarded-For": f"198.51.100.{n}, 203.0.113.7"}) for n in range(4)
        ]

        assert [answer.status_code for answer in answers] == [200, 200, 200, 429]


@pytest.mark.parametrize(
    ("peer", "forwarded", "caller"),
    [
        ("203.0.113.7", ["198.51.100.1"], "203.0.113.7"),
        ("10.0.0.1", [], "10.0.0.1"),
        ("10.0.0.1", ["198.51.100.1"], "198.51.100.1"),
        ("10.0.0.1", ["198.51.100.1, 203.0.113.7"], "203.0.113.7"),
        ("10.0.0.1", ["198.51.100.1, 203.0.113.7, 10.0.0.2"], "203.0.113.7"),
        ("10.0.0.1", ["198.51.100.1", "203.0.113.7"], "203.0.113.7"),
        ("10.0.0.1", ["198.51.100.1, nonsense"], "10.0.0.1"),
        ("10.0.0.1", [","], "10.0.0.1"),
        ("::ffff:10.0.0.1", ["2001:db8:1:2:3:4:5:6"], "2001:db8:1:2::/64"),
        ("", ["203.0.113.7"], "unknown"),
        ("10.0.0.1", ["203.0.113.7:5001"], "203.0.113.7"),
        ("10.0.0.1", ["[2001:db8:1:2::7]:443"], "2001:db8:1:2::/64"),
        ("10.0.0.1", ["[2001:db8:1:2::7]"], "2001:db8:1:2::/64"),
        ("10.0.0.1", ["203.0.113.7:"], "10.0.0.1"),
    ],
)
def test_only_the_word_of_a_proxy_of_ours_counts(peer: str, forwarded: list[str], caller: str) -> None:
    assert TrustedProxies(["10.0.0.0/8"]).caller(peer, forwarded) == caller


async def test_processes_share_a_limit(world: World) -> None:
    """However the requests are spread, and however many come at once."""
    store = MemoryRates()
    processes = [Buckets(store, lambda: world.now) for _ in range(4)]

    answers = await asyncio.gather(*(processes[n % 4].spend("key|a", 100) for n in range(400)))

    assert sum(answer.allowed for answer in answers) == 100


async def test_the_hot_path_seldom_asks_the_database(world: World) -> None:
    store = MemoryRates()
    buckets = Buckets(store, lambda: world.now)

    allowed = [(await buckets.spend("key|a", 1_000)).allowed for _ in range(2_000)]

    assert sum(allowed) == 1_000
    assert store.calls <= 21


@pytest.mark.parametrize(("passes", "allowed"), [(0, True), (59, True), (60, False), (120, False)])
async def test_what_did_not_count_is_given_back_within_its_minute_alone(
    world: World, passes: int, allowed: bool
) -> None:
    buckets = Buckets(MemoryRates(), lambda: world.now)
    spent = await buckets.spend("login|a", 3)
    world.pass_time(passes)
    # All that this minute has left.
    while (await buckets.spend("login|a", 3)).allowed:
        pass

    buckets.give_back("login|a", spent)

    assert (await buckets.spend("login|a", 3)).allowed is allowed


@pytest.mark.parametrize("fault", ["away", "hangs"])
async def test_requests_pass_while_the_database_does_not_answer(world: World, fault: str) -> None:
    async with behind_proxy(world, **STRICT) as strict:
        setattr(world.rates, fault, True)

        answers = [await strict.get("/stats", headers={"X-Forwarded-For": "203.0.113.7"}) for _ in range(5)]

        assert [answer.status_code for answer in answers] == [200] * 5


async def test_0_is_no_limit(world: World) -> None:
    settings = {"rate_limit_per_key": 0, "rate_limit_per_address": 0, "rate_limit_login_failures": 0}
    async with AsyncTestClient(world.app(**settings)) as client:
        answer = await client.post("/v1/events", json=EVENT, headers=world.key)

    assert answer.status_code == 202
    assert "ratelimit-limit" not in answer.headers
    assert world.rates.calls == 0
