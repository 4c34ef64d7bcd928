"""Guessing passwords gets slow, and costs nobody else anything: by account and network, by network, by work."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from litestar.testing import AsyncTestClient

from services.api.limiting.limits import delay_after
from tests.unit.api.proxies import behind_proxy

World = Any
WRONG = {"username": "ada@example.com", "password": "not the password"}
RIGHT = {"username": "ada@example.com", "password": "password123"}
STRICT = {"rate_limit_per_key": 5, "rate_limit_per_address": 3, "rate_limit_login_failures": 8}


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
