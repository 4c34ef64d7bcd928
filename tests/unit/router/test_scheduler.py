"""What was held is released: never early, not lost, and settled when it has expired meanwhile."""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from libs.common.domain.channels import Channel
from libs.common.domain.deliveries import Lease
from libs.common.domain.errors import Unavailable
from libs.common.domain.messages import Event
from libs.common.domain.parts import HEAVIEST
from libs.common.ports import Received
from libs.common.testing.stumbling import Stumbles
from libs.common.testing.waiting import eventually

MakeEvent = Callable[..., Event]
MakeRecord = Callable[..., Received]
SIX_HOURS = timedelta(hours=6)


@pytest.fixture
async def holding(world: Any, an_event: MakeEvent, a_record: MakeRecord) -> Any:
    """A world at noon in which one event waits until 18:00 for two subscribers."""
    for name in ("ann", "bob"):
        world.join(name, channels=(Channel.EMAIL,), windows=("18:00-19:00",))
    await world.route(a_record(an_event(expiresat=world.now + 2 * SIX_HOURS)))
    return world


async def test_nothing_is_released_early(holding: Any) -> None:
    """P4."""
    holding.now += SIX_HOURS - timedelta(milliseconds=1)

    assert await holding.scheduler().release() == 0
    assert holding.deliveries == []


async def test_what_is_due_goes_to_the_dispatcher_once(holding: Any) -> None:
    holding.now += SIX_HOURS

    assert await holding.scheduler().release() == 1
    assert await holding.scheduler().release() == 0
    assert holding.deliveries == [("ann", "EMAIL"), ("bob", "EMAIL")]
    assert holding.holds.batches == {}


async def test_the_deliveries_are_those_that_an_open_window_would_have_made(
    holding: Any, make_world: Callable[[], Any], an_event: MakeEvent, a_record: MakeRecord
) -> None:
    at_once = make_world()
    for name in ("ann", "bob"):
        at_once.join(name, channels=(Channel.EMAIL,))
    await at_once.route(a_record(an_event()))
    holding.now += SIX_HOURS

    await holding.scheduler().release()

    assert holding.delivery_ids == at_once.delivery_ids


@pytest.mark.parametrize("after", [False, True], ids=["before the effect", "after the effect"])
@pytest.mark.parametrize("at", [1, 2, 3, 4])
async def test_what_a_failure_at_any_step_left_is_released_at_the_next_attempt(
    holding: Any, at: int, after: bool
) -> None:
    """It had to wait for the end of the lease: a blip of the log made everything half a minute late."""
    holding.now += SIX_HOURS
    scheduler = holding.scheduler(Stumbles(at, after=after))
    with pytest.raises(Unavailable):
        await scheduler.release()

    await scheduler.release()

    assert set(holding.deliveries) == {("ann", "EMAIL"), ("bob", "EMAIL")}
    assert len(holding.delivery_ids) == 2
    assert holding.holds.batches == {}


async def test_what_a_crash_left_is_released_once_the_lease_has_ended(holding: Any) -> None:
    holding.now += SIX_HOURS
    await holding.holds.claim(Lease("crashed", holding.now, holding.now + timedelta(seconds=30)), 500)

    assert await holding.scheduler().release() == 0
    holding.now += timedelta(seconds=30)
    assert await holding.scheduler().release() == 1


async def test_what_a_router_had_claimed_that_is_stopped_any_other_may_release_at_once(holding: Any) -> None:
    holding.now += SIX_HOURS
    begun, append = asyncio.Event(), holding.log.append

    async def stuck(_records: object) -> None:
        begun.set()
        await asyncio.Event().wait()

    holding.log.append = stuck
    running = asyncio.create_task(holding.scheduler().run())
    await begun.wait()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    holding.log.append = append

    assert await holding.scheduler().release() == 1
    assert holding.deliveries == [("ann", "EMAIL"), ("bob", "EMAIL")]


async def refuse(_owner: str) -> None:
    raise Unavailable("MongoDB: away")


async def test_while_the_log_is_away_no_attempt_keeps_others_from_what_is_due(
    holding: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every attempt leased another 500 for half a minute; also where the database refuses to take them back."""
    monkeypatch.setattr("services.router.scheduler._LIMIT", 1)
    for number in range(3):
        holding.holds.batches[f"another{number}"] = next(iter(holding.holds.batches.values()))
    holding.now += SIX_HOURS
    holding.log.away = True
    scheduler = holding.scheduler()

    async def attempt() -> int:
        with pytest.raises(Unavailable):
            await scheduler.release()
        return len(holding.holds.leases)

    assert [await attempt(), await attempt()] == [0, 0]
    with monkeypatch.context() as broken:
        broken.setattr(holding.holds, "give_back", refuse)
        assert [await attempt(), await attempt()] == [1, 1]
    assert await attempt() == 0


async def test_what_has_expired_meanwhile_is_said_to_have_and_goes_where_it_is_settled(holding: Any) -> None:
    """P2: the dispatcher sends nothing that has expired, and gives it its terminal state."""
    holding.now += 2 * SIX_HOURS

    await holding.scheduler().release()

    assert ("EXPIRED", "expired", ("ann", "bob")) in holding.reasons()
    assert len(holding.delivery_ids) == 2


async def test_a_hold_that_cannot_be_read_is_kept_as_a_dead_letter(holding: Any) -> None:
    holding.now += SIX_HOURS
    holding.holds.batches["broken"] = (holding.now, b"{")

    await holding.scheduler().release()

    (letter,) = holding.log.of("dead-letters")
    assert letter.value == b"{"
    assert dict(letter.headers)["sigmora-origin"] == b"scheduled/broken"
    assert len(holding.delivery_ids) == 2


async def test_a_hold_too_large_for_the_log_stops_no_other(holding: Any) -> None:
    holding.now += SIX_HOURS
    ((_, good),) = holding.holds.batches.values()
    large = good.replace(b'"topic":"tech"', b'"topic":"' + b"x" * 2_000_000 + b'"')
    holding.holds.batches["large"] = (holding.now, large)

    await holding.scheduler().release()

    assert len(holding.log.of("dead-letters")) == 1
    assert holding.deliveries == [("ann", "EMAIL"), ("bob", "EMAIL")]
    assert holding.holds.batches == {}


async def test_large_holds_are_released_in_parts_one_after_the_other(
    world: Any, an_event: MakeEvent, a_record: MakeRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    """500 holds of 200 kB were claimed at once and appended at once, which never came to an end."""
    monkeypatch.setattr("services.router.scheduler._LOOK", 3_600)
    for number in range(4_500):
        world.join(f"u{number}", channels=(Channel.EMAIL,), windows=("18:00-19:00",))
    await world.route(a_record(an_event(title="x" * 200_000)))
    world.now += SIX_HOURS
    sizes = world.watch_appends()

    running = asyncio.create_task(world.scheduler().run())
    await eventually(lambda: world.holds.batches == {})

    running.cancel()
    assert len(world.deliveries) == 4_500
    assert sum(sizes) > HEAVIEST >= max(sizes)


async def test_it_runs_until_it_is_stopped_and_outlasts_an_absent_log(
    holding: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.router.scheduler._LOOK", 0.01)
    holding.log.away = True
    holding.now += SIX_HOURS
    attempts = Stumbles()
    running = asyncio.create_task(holding.scheduler(attempts).run())
    await eventually(lambda: attempts.calls.count("append") > 1)
    assert holding.holds.batches != {}

    holding.log.away = False
    await eventually(lambda: holding.holds.batches == {})

    running.cancel()
    assert holding.deliveries == [("ann", "EMAIL"), ("bob", "EMAIL")]
