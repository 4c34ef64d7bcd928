"""What is released late, after an outage, keeps to the windows of the time at which it is released."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from libs.common.domain.channels import Channel
from libs.common.domain.errors import Unavailable
from libs.common.domain.messages import Event, WantedSubscription
from libs.common.ports import Received
from libs.common.testing.stumbling import Stumbles

MakeEvent = Callable[..., Event]
MakeRecord = Callable[..., Received]
EVENING = ("18:00-19:00",)
UNTIL_18 = timedelta(hours=6)
UNTIL_2 = timedelta(hours=14)
DAY = timedelta(days=1)


def due_times(world: Any) -> list[Any]:
    """When what is held is due."""
    return sorted(due_at for due_at, _ in world.holds.batches.values())


async def test_what_is_late_and_finds_the_window_closed_waits_for_the_next(
    world: Any, an_event: MakeEvent, a_record: MakeRecord
) -> None:
    """A router that was away from 18:00 to 02:00 sent at 02:00 what was held for 18:00 to 19:00."""
    noon = world.now
    world.join("ann", channels=(Channel.EMAIL,), windows=EVENING)
    await world.route(a_record(an_event()))
    world.now = noon + UNTIL_2

    await world.scheduler().release()

    assert world.deliveries == []
    assert due_times(world) == [noon + UNTIL_18 + DAY]
    assert [(one.outcome, one.due_at) for one in world.decisions] == [
        ("HOLD", noon + UNTIL_18),
        ("HOLD", noon + UNTIL_18 + DAY),
    ]
    world.now = noon + UNTIL_18 + DAY
    await world.scheduler().release()
    assert world.deliveries == [("ann", "EMAIL")]
    assert world.holds.batches == {}


@pytest.mark.parametrize("late", [timedelta(seconds=59), timedelta(minutes=59)], ids=["a little", "much"])
async def test_what_is_late_and_finds_the_window_open_goes_out(
    world: Any, an_event: MakeEvent, a_record: MakeRecord, late: timedelta
) -> None:
    world.join("ann", channels=(Channel.EMAIL,), windows=EVENING)
    await world.route(a_record(an_event()))
    world.now += UNTIL_18 + late

    await world.scheduler().release()

    assert world.deliveries == [("ann", "EMAIL")]


async def test_a_release_time_that_has_passed_opens_no_window(
    world: Any, an_event: MakeEvent, a_record: MakeRecord
) -> None:
    noon = world.now
    world.join("ann", channels=(Channel.EMAIL,), windows=EVENING)
    await world.route(a_record(an_event(releasetime=noon + UNTIL_18 + timedelta(minutes=30))))
    world.now = noon + UNTIL_2

    await world.scheduler().release()

    assert (world.deliveries, due_times(world)) == ([], [noon + UNTIL_18 + DAY])


async def test_each_waits_by_the_windows_that_they_have_by_now(
    world: Any, an_event: MakeEvent, a_record: MakeRecord
) -> None:
    """They shared a hold; who has left or is erased goes to the dispatcher, which settles it."""
    noon = world.now
    everybody = ("ann", "bob", "cid", "dora", "eve")
    joined = {name: world.join(name, channels=(Channel.EMAIL,), windows=EVENING) for name in everybody}
    await world.route(a_record(an_event()))
    world.now = noon + UNTIL_2
    ordinals = {name: joined[name].ordinal for name in everybody}
    world.join("bob", channels=(Channel.EMAIL,), ordinal=ordinals["bob"])
    world.join("cid", channels=(Channel.EMAIL,), ordinal=ordinals["cid"], windows=("07:00-08:00",))
    world.join("dora", channels=(Channel.EMAIL,), ordinal=ordinals["dora"], windows=EVENING, active=False)
    del world.people.subscribers["acme", "eve"]

    await world.scheduler().release()

    assert world.deliveries == [("bob", "EMAIL"), ("dora", "EMAIL"), ("eve", "EMAIL")]
    assert due_times(world) == [noon + timedelta(hours=19), noon + UNTIL_18 + DAY]


async def test_what_has_expired_by_the_next_window_ends_as_expired(
    world: Any, an_event: MakeEvent, a_record: MakeRecord
) -> None:
    noon = world.now
    world.join("ann", channels=(Channel.EMAIL,), windows=EVENING)
    await world.route(a_record(an_event(expiresat=noon + timedelta(hours=20))))
    world.now = noon + UNTIL_2

    await world.scheduler().release()
    world.now = noon + UNTIL_18 + DAY
    await world.scheduler().release()

    assert world.reasons()[0] == ("EXPIRED", "expired", ("ann",))
    assert world.holds.batches == {}
    assert len(world.delivery_ids) == 1  # the dispatcher gives it its end


async def test_a_critical_event_waits_for_no_window(world: Any, an_event: MakeEvent, a_record: MakeRecord) -> None:
    world.join("ann", channels=(Channel.SMS,), windows=EVENING)
    record = a_record(an_event(lane="critical", releasetime=world.now + UNTIL_18), "events.critical")
    await world.route(record)
    world.now += UNTIL_2

    await world.scheduler().release()

    assert world.deliveries == [("ann", "SMS")]


@pytest.mark.parametrize(
    ("changes", "out"),
    [
        ({"topic": "art"}, True),
        ({"topic": "tech"}, False),
        ({"topic": "art", "recipients": ("ann",)}, False),
        ({"topic": "art", "channels": (Channel.SMS,)}, True),
    ],
    ids=["another subscription", "the default one", "named", "one channel of it"],
)
async def test_the_windows_are_those_of_the_subscription_that_wants_it(
    world: Any, an_event: MakeEvent, a_record: MakeRecord, changes: dict[str, Any], out: bool
) -> None:
    """And those of the default one where the event names its recipient, as when it was decided first."""
    ann = world.join("ann", {"topic": ["tech"]}, channels=(Channel.EMAIL,), windows=EVENING)
    art = WantedSubscription(name="art", pattern={"topic": ["art"]}, channels=(Channel.SMS,))
    world.people.put(msgspec.structs.replace(ann, subscriptions=(*ann.subscriptions, art)))
    await world.route(a_record(an_event(**changes, releasetime=world.now + UNTIL_18)))
    world.now += UNTIL_2

    await world.scheduler().release()

    assert bool(world.deliveries) is out
    assert bool(world.holds.batches) is not out


@pytest.mark.parametrize("after", [False, True], ids=["before the effect", "after the effect"])
@pytest.mark.parametrize("at", [1, 2, 3, 4, 5])
async def test_a_failure_at_any_step_loses_nobody(
    world: Any, an_event: MakeEvent, a_record: MakeRecord, at: int, after: bool
) -> None:
    noon = world.now
    for name in ("ann", "bob"):
        world.join(name, channels=(Channel.EMAIL,), windows=EVENING)
    await world.route(a_record(an_event()))
    world.join("bob", channels=(Channel.EMAIL,), ordinal=2)
    world.now = noon + UNTIL_2
    scheduler = world.scheduler(Stumbles(at, after=after))
    with pytest.raises(Unavailable):
        await scheduler.release()

    await scheduler.release()

    assert set(world.deliveries) == {("bob", "EMAIL")}
    assert due_times(world) == [noon + UNTIL_18 + DAY]
    world.now = noon + UNTIL_18 + DAY
    await scheduler.release()
    assert set(world.deliveries) == {("ann", "EMAIL"), ("bob", "EMAIL")}
    assert len(world.delivery_ids) == 2
