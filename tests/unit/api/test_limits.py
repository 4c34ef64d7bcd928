"""Whoever calls too often is told to wait: by key, by address, by failed log-ins. All processes share the counts, and
nobody can lock anybody else out."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest
from httpx import ASGITransport, AsyncClient
from litestar.testing import AsyncTestClient

from libs.common.testing.rate_limits import MemoryRates
from services.api.limiting.addresses import TrustedProxies
from services.api.limiting.buckets import Buckets
from services.api.limiting.limits import delay_after

World = Any
EVENT = {"topic": "tech", "title": "Hello"}
WRONG = {"username": "ada@example.com", "password": "not the password"}
RIGHT = {"username": "ada@example.com", "password": "password123"}


PROXY = ("10.0.0.1", 4000)
STRICT = {"rate_limit_per_key": 5, "rate_limit_per_address": 3, "rate_limit_login_failures": 8}


@asynccontextmanager
async def behind_proxy(world: World, **settings: Any) -> AsyncIterator[AsyncClient]:
    """A client of an API that sees every request come from a proxy that it trusts. Requests run at once, where the
    framework's own test client lets the next one wait."""
    app = world.app(**settings, trusted_proxies=("10.0.0.0/8",))
    transport = ASGITransport(app, client=PROXY, raise_app_exceptions=False)
    async with app.lifespan(), AsyncClient(transport=transport, base_url="http://api") as client:
        yield client


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


def test_each_failure_doubles_the_wait_up_to_a_quarter_of_an_hour() -> None:
    seconds = [delay_after(failures) / timedelta(seconds=1) for failures in (1, 4, 5, 6, 7, 14, 15, 1_000)]

    assert seconds == [0, 0, 1, 2, 4, 512, 900, 900]


async def test_guessing_a_password_gets_slower_and_the_owner_elsewhere_does_not_notice(world: World) -> None:
    await world.subscribe()
    attacker, owner = {"X-Forwarded-For": "198.51.100.1"}, {"X-Forwarded-For": "203.0.113.7"}
    async with behind_proxy(world) as client:
        answers = [await client.post("/token", data=WRONG, headers=attacker) for _ in range(6)]
        right_but_blocked = await client.post("/token", data=RIGHT, headers=attacker)
        at_home = await client.post("/token", data=RIGHT, headers=owner)
        world.pass_time(1)
        again = await client.post("/token", data=WRONG, headers=attacker)
        blocked_longer = await client.post("/token", data=RIGHT, headers=attacker)
        world.pass_time(2)
        late = await client.post("/token", data=RIGHT, headers=attacker)

    assert [answer.status_code for answer in answers] == [401] * 5 + [429]
    assert (right_but_blocked.status_code, at_home.status_code) == (429, 200)
    assert right_but_blocked.headers["retry-after"] == "1"
    assert (again.status_code, blocked_longer.status_code, blocked_longer.headers["retry-after"]) == (401, 429, "2")
    assert late.status_code == 200
    assert world.rates.attempts == {}


async def test_many_guesses_at_once_get_no_further(world: World) -> None:
    await world.subscribe()
    async with behind_proxy(world) as client:
        answers = await asyncio.gather(*(client.post("/token", data=WRONG) for _ in range(20)))

    assert sorted(answer.status_code for answer in answers) == [401] * 5 + [429] * 15


async def test_right_passwords_at_once_all_log_in(world: World) -> None:
    """Each counted as a failure until it was verified: of 20 at the same moment 15 were told to come back later."""
    await world.subscribe()
    async with behind_proxy(world, rate_limit_login_failures=4) as client:
        answers = await asyncio.gather(*(client.post("/token", data=RIGHT) for _ in range(20)))

    assert [answer.status_code for answer in answers] == [200] * 20
    assert world.rates.attempts == {}


async def test_who_subscribes_again_many_times_at_once_is_not_taken_for_a_guesser(world: World) -> None:
    body = {"email": RIGHT["username"], "password": RIGHT["password"]}
    await world.subscribe()
    async with behind_proxy(world) as client:
        answers = await asyncio.gather(*(client.post("/subscribe", json=body) for _ in range(20)))

    assert [answer.status_code for answer in answers] == [200] * 20


async def test_waiting_for_one_another_is_no_way_around_the_limit_of_passwords(world: World) -> None:
    await world.subscribe()
    async with behind_proxy(world, rate_limit_passwords=8) as client:
        answers = await asyncio.gather(*(client.post("/token", data=RIGHT) for _ in range(20)))

    assert sorted(answer.status_code for answer in answers) == [200] * 8 + [429] * 12


async def test_more_than_may_wait_for_one_another_are_refused_at_once(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One is verified, 64 wait; somebody else's log-in does not notice."""
    await world.subscribe()
    await world.subscribe("bob@example.com")
    found, may_go_on = world.accounts.find, asyncio.Event()

    async def find(tenant: str, email: str) -> Any:
        if email == RIGHT["username"]:
            await may_go_on.wait()
        return await found(tenant, email)

    monkeypatch.setattr(world.accounts, "find", find)
    async with behind_proxy(world) as client:
        all_of_them = [asyncio.create_task(client.post("/token", data=RIGHT)) for _ in range(70)]
        answered = iter(asyncio.as_completed(all_of_them))
        refused = [(await next(answered)).status_code for _ in range(5)]
        somebody_else = await client.post("/token", data={**RIGHT, "username": "bob@example.com"})
        may_go_on.set()
        codes = [(await answer).status_code for answer in all_of_them]

    assert refused == [503] * 5
    assert somebody_else.status_code == 200
    assert sorted(codes) == [200] * 65 + [503] * 5


async def test_guessing_by_subscribing_counts_too(world: World) -> None:
    await world.subscribe()

    codes = [(await world.subscribe(password=f"guess number {n}")).status_code for n in range(6)]

    assert codes == [409] * 5 + [429]
    assert (await world.subscribe()).status_code == 429
    world.pass_time(1)
    assert (await world.subscribe()).status_code == 200


async def test_one_network_cannot_try_one_password_on_everybody(world: World) -> None:
    """Unknown addresses count like known ones."""
    async with behind_proxy(world, **STRICT) as strict:
        at = [{"X-Forwarded-For": f"2001:db8:0:1::{n:x}"} for n in range(10)]
        codes = [
            (await strict.post("/token", data={**WRONG, "username": f"u{n}@example.com"}, headers=at[n])).status_code
            for n in range(4)
        ]

        assert codes == [401, 401, 401, 429]


async def test_failures_of_one_network_are_bounded_over_all_accounts(world: World) -> None:
    async with AsyncTestClient(world.app(rate_limit_login_failures=4)) as client:
        codes = [
            (await client.post("/token", data={**WRONG, "username": f"u{n}@example.com"})).status_code for n in range(7)
        ]

    assert codes == [401] * 4 + [429] * 3


async def test_many_log_ins_at_once_over_many_accounts_get_no_further(world: World) -> None:
    """A failure counted only after its password was verified: all that came meanwhile got through."""
    async with behind_proxy(world, rate_limit_login_failures=4) as client:
        wrong = [{**WRONG, "username": f"u{n}@example.com"} for n in range(20)]
        answers = await asyncio.gather(*(client.post("/token", data=each) for each in wrong))

    assert sorted(answer.status_code for answer in answers) == [401] * 4 + [429] * 16


async def test_right_passwords_use_nothing_up(world: World) -> None:
    await world.subscribe()
    async with AsyncTestClient(world.app(rate_limit_login_failures=4)) as client:
        codes = [(await client.post("/token", data=RIGHT)).status_code for _ in range(10)]

    assert codes == [200] * 10


async def test_what_is_given_back_in_the_next_minute_does_not_raise_its_limit(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A log-in begun in one minute and verified in the next one let one more of that minute fail."""
    await world.subscribe()
    found = world.accounts.find

    async def find_slowly(*which: str) -> Any:
        world.pass_time(60)
        return await found(*which)

    async with AsyncTestClient(world.app(rate_limit_login_failures=4)) as client:
        with monkeypatch.context() as slow:
            slow.setattr(world.accounts, "find", find_slowly)
            right = await client.post("/token", data=RIGHT)
        codes = [
            (await client.post("/token", data={**WRONG, "username": f"u{n}@example.com"})).status_code for n in range(6)
        ]

    assert right.status_code == 200
    assert codes == [401] * 4 + [429] * 2


async def test_who_makes_accounts_all_the_time_keeps_nobody_from_logging_in(world: World) -> None:
    """Each costs a core for 31 ms; 70 a second from one address took both, and every log-in was refused."""
    await world.subscribe()
    async with behind_proxy(world, rate_limit_passwords=3) as client:
        codes = []
        for number in range(5):
            body = {"email": f"u{number}@example.com", "password": "a long password"}
            answer = await client.post("/subscribe", json=body, headers={"X-Forwarded-For": "198.51.100.1"})
            codes.append(answer.status_code)
        here = await client.post("/token", data=RIGHT, headers={"X-Forwarded-For": "198.51.100.1"})
        elsewhere = await client.post("/token", data=RIGHT, headers={"X-Forwarded-For": "203.0.113.7"})

    assert codes == [200] * 3 + [429] * 2
    assert 1 <= int(answer.headers["retry-after"]) <= 60
    assert (here.status_code, elsewhere.status_code) == (429, 200)


async def test_a_log_in_works_while_the_counts_are_away(world: World) -> None:
    await world.subscribe()
    world.rates.away = True

    assert (await world.client.post("/token", data=RIGHT)).status_code == 200
    assert (await world.client.post("/token", data=WRONG)).status_code == 401
