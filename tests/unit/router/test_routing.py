"""Events become decisions and deliveries: once, whole, and the same after any crash."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from libs.common.domain.channels import Channel
from libs.common.domain.errors import Unavailable
from libs.common.domain.messages import Event
from libs.common.domain.parts import HEAVIEST
from libs.common.ports import Received
from libs.common.testing.stumbling import Stumbles
from libs.common.topics import HEADROOM, LARGEST_RECORD

MakeEvent = Callable[..., Event]
MakeRecord = Callable[..., Received]
TECH = {"topic": ["tech"]}


async def test_an_event_reaches_those_whose_filter_it_passes(
    world: Any, an_event: MakeEvent, a_record: MakeRecord
) -> None:
    world.join("ann", TECH, channels=(Channel.EMAIL, Channel.INAPP))
    world.join("bob", {"topic": ["sports"]})
    world.join("cid", TECH, active=False)
    world.join("dora", TECH, tenant="other")

    await world.route(a_record(an_event()))

    assert world.deliveries == [("ann", "EMAIL"), ("ann", "INAPP")]
    assert world.reasons() == [("SEND", "matched", ("ann",)), ("SEND", "matched", ("ann",))]


async def test_a_poll_is_committed_behind_its_last_record_of_each_partition(
    world: Any, an_event: MakeEvent, a_record: MakeRecord
) -> None:
    await world.route(
        a_record(an_event(1), offset=4), a_record(an_event(2), offset=5), a_record(an_event(3), "events.bulk", offset=9)
    )

    assert {tp.topic: offset for tp, offset in world.committed.items()} == {"events.standard": 6, "events.bulk": 10}


async def test_the_lane_of_the_event_is_the_lane_of_its_deliveries(
    world: Any, an_event: MakeEvent, a_record: MakeRecord
) -> None:
    world.join("ann", channels=(Channel.SMS,))

    await world.route(a_record(an_event(lane="critical"), "events.critical"))

    (record,) = world.log.of("deliveries.sms.critical")
    assert record.key == f"{an_event().eventid}:0".encode()


async def test_the_same_event_any_number_of_times_is_one(world: Any, an_event: MakeEvent, a_record: MakeRecord) -> None:
    world.join("ann", channels=(Channel.EMAIL,))
    records = [a_record(an_event()) for _ in range(10)]

    await world.route(*records)
    await world.route(*records)
    await world.route(a_record(an_event()))

    assert world.deliveries == [("ann", "EMAIL")]
    assert len(world.decisions) == 1


async def test_an_event_that_comes_again_before_it_is_marked_is_not_fanned_out_again(
    world: Any, an_event: MakeEvent, a_record: MakeRecord
) -> None:
    """Ten copies in ten polls were three batches for the dispatcher while marks were on their way."""
    world.join("ann", channels=(Channel.EMAIL,))
    async with world.indexed() as live:
        router = world.router(live)
        for _ in range(3):
            await router.handle([a_record(an_event())], _commit)

    assert world.deliveries == [("ann", "EMAIL")]


async def test_that_nobody_wanted_it_is_on_record(world: Any, an_event: MakeEvent, a_record: MakeRecord) -> None:
    await world.route(a_record(an_event()))

    assert world.deliveries == []
    assert world.reasons() == [("NO_MATCH", "nobody_matched", ())]


async def test_named_recipients_need_no_filter_and_not_even_the_index(
    world: Any, an_event: MakeEvent, a_record: MakeRecord
) -> None:
    """Somebody just created is in the database before the index hears of it."""
    world.join("ann", {"topic": ["nothing"]}, channels=(Channel.EMAIL,))
    world.join("off", active=False)
    record = a_record(an_event(recipients=("ann", "new", "off", "nobody")))
    async with world.indexed() as live:
        world.join("new", channels=(Channel.PUSH,))

        await world.router(live).handle([record], _commit)

    assert world.deliveries == [("ann", "EMAIL"), ("new", "PUSH")]
    assert ("SUPPRESS", "unknown_recipient", ("nobody",)) in world.reasons()
    assert ("SUPPRESS", "unsubscribed", ("off",)) in world.reasons()


async def _commit(_positions: object) -> bool:
    return True


async def test_the_audience_stays_as_recorded_whatever_changes_afterwards(
    world: Any, an_event: MakeEvent, a_record: MakeRecord
) -> None:
    """A crash between the record and the deliveries, and meanwhile everybody changes their mind."""
    ann = world.join("ann", TECH, channels=(Channel.EMAIL,))
    world.join("bob", {"topic": ["sports"]}, channels=(Channel.EMAIL,))
    world.log.away = True
    with pytest.raises(Unavailable):
        await world.route(a_record(an_event()))
    world.log.away = False
    world.join("ann", {"topic": ["sports"]}, ordinal=ann.ordinal, version=2)
    world.join("bob", TECH, ordinal=2, version=2)

    await world.route(a_record(an_event()))

    assert world.deliveries == [("ann", "EMAIL")]


async def test_somebody_erased_after_the_record_gets_nothing(
    world: Any, an_event: MakeEvent, a_record: MakeRecord
) -> None:
    world.join("ann", channels=(Channel.EMAIL,))
    world.join("bob", channels=(Channel.EMAIL,))
    world.log.away = True
    with pytest.raises(Unavailable):
        await world.route(a_record(an_event()))
    world.log.away = False
    del world.people.subscribers["acme", "ann"]

    await world.route(a_record(an_event()))

    assert world.deliveries == [("bob", "EMAIL")]


async def test_an_index_that_lags_behind_the_record_costs_nobody_the_delivery(
    world: Any, an_event: MakeEvent, a_record: MakeRecord
) -> None:
    """Another router knew somebody of whom ours has not heard."""
    async with world.indexed() as live:
        world.join("ann", channels=(Channel.EMAIL,))
        world.log.away = True
        with pytest.raises(Unavailable):
            await world.route(a_record(an_event()))
        world.log.away = False

        await world.router(live).handle([a_record(an_event())], _commit)

    assert world.deliveries == [("ann", "EMAIL")]


async def test_of_two_routers_with_the_same_event_the_first_choice_stands(
    world: Any, an_event: MakeEvent, a_record: MakeRecord
) -> None:
    world.join("ann", channels=(Channel.EMAIL,))
    async with world.indexed() as live:
        slow = world.router(live)
        record = world.audiences.record

        async def overtaken(audiences: Any) -> Any:
            world.audiences.record = record
            world.log.away = True
            with pytest.raises(Unavailable):  # the other router records its choice, and is slow to publish
                await world.route(a_record(an_event(channels=(Channel.SMS,))))
            world.log.away = False
            return await record(audiences)

        world.audiences.record = overtaken
        await slow.handle([a_record(an_event())], _commit)

    assert world.reasons() == [("SUPPRESS", "channel_not_wanted", ("ann",))]
    assert world.deliveries == []


async def test_a_closed_window_holds_an_event(world: Any, an_event: MakeEvent, a_record: MakeRecord) -> None:
    world.join("ann", channels=(Channel.EMAIL,), windows=("18:00-19:00",))

    await world.route(a_record(an_event()))
    await world.route(a_record(an_event()))

    ((due_at, _),) = world.holds.batches.values()
    assert due_at == world.now + timedelta(hours=6)
    assert world.deliveries == []
    assert world.reasons() == [("HOLD", "window_closed", ("ann",))]


async def test_what_an_event_causes_may_be_too_large_for_the_log_and_the_others_go_on(
    world: Any, an_event: MakeEvent, a_record: MakeRecord
) -> None:
    for number in range(100):
        world.join(f"{number:050}", channels=(Channel.EMAIL,))
    # Its dead letter has 500 bytes more and fits; a batch for everybody has 5,000 more.
    large = a_record(an_event(1, title="x" * (LARGEST_RECORD + HEADROOM - 2_000)))

    await world.route(a_record(an_event(2)), large, a_record(an_event(3)))

    (letter,) = world.log.of("dead-letters")
    assert (letter.value, letter.key) == (large.value, large.key)
    assert sorted(batch.event.id for batch in world.batches) == ["2", "3"]
    assert len(world.committed) == 1


async def test_an_audience_of_many_is_written_in_parts(world: Any, an_event: MakeEvent, a_record: MakeRecord) -> None:
    for number in range(250):
        world.join(f"u{number}", channels=(Channel.EMAIL,))

    await world.route(a_record(an_event()))

    assert [len(batch.subscribers) for batch in world.batches] == [100, 100, 50]
    assert len({record.key for record in world.log.of("deliveries.email.standard")}) == 3


async def test_a_large_event_for_many_is_appended_in_parts(
    world: Any, an_event: MakeEvent, a_record: MakeRecord
) -> None:
    """Parts were bounded by their number alone: 2,000 records of 200 kB in one append were never acknowledged in time,
    and the partition stood still for good."""
    for number in range(4_500):
        world.join(f"u{number}", channels=(Channel.EMAIL,))
    sizes = world.watch_appends()

    await world.route(a_record(an_event(title="x" * 200_000)))

    assert len(world.deliveries) == 4_500
    assert sum(sizes) > HEAVIEST >= max(sizes)


async def crash_everywhere(world_of: Callable[[], Any], records: list[Received], after: bool) -> None:
    """The story stumbles at every call, and is told again as Kafka would: the outcome must be that of no stumble."""
    calm, counting = world_of(), Stumbles()
    await calm.route(*records, stumbles=counting)
    assert len(counting.calls) >= 6

    for at in range(1, len(counting.calls) + 1):
        world = world_of()
        with pytest.raises(Unavailable):
            await world.route(*records, stumbles=Stumbles(at, after=after))
        world.now += timedelta(hours=7)  # windows have opened meanwhile: the decision stands all the same
        await world.route(*records)

        assert world.delivery_ids == calm.delivery_ids, counting.calls[at - 1]
        assert set(world.deliveries) == set(calm.deliveries)
        assert world.committed == calm.committed
        recorded_before = counting.calls.index("record") + 1 < at or (after and counting.calls[at - 1] == "record")
        if recorded_before:
            assert world.holds.batches == calm.holds.batches
            assert set(world.reasons()) == set(calm.reasons())


@pytest.mark.parametrize("portion", [1, 50_000], ids=["event by event", "all at once"])
@pytest.mark.parametrize("after", [False, True], ids=["before the effect", "after the effect"])
async def test_a_crash_at_any_step_changes_nothing(
    an_event: MakeEvent,
    a_record: MakeRecord,
    make_world: Callable[[], Any],
    monkeypatch: pytest.MonkeyPatch,
    after: bool,
    portion: int,
) -> None:
    """F2: no missing and no extra recipient, whatever the step, also where a poll is written in portions."""
    monkeypatch.setattr("services.router.publishing._PORTION", portion)
    monkeypatch.setattr("libs.common.appending._MOST", 2)

    def world_of() -> Any:
        world = make_world()
        for number in range(120):
            world.join(f"u{number}", TECH, channels=(Channel.EMAIL,))
        world.join("late", TECH, channels=(Channel.SMS,), windows=("10:00-11:00",))
        world.join("direct", {"topic": ["nothing"]}, channels=(Channel.PUSH,))
        return world

    records = [
        a_record(an_event(1)),
        a_record(b"{not json", key=None),
        a_record(an_event(2, recipients=("direct", "nobody"))),
        a_record(an_event(1)),
        a_record(an_event(3, topic="art")),
    ]

    await crash_everywhere(world_of, records, after)


async def test_metrics_count_events_decisions_and_deliveries_once(
    world: Any, an_event: MakeEvent, a_record: MakeRecord
) -> None:
    world.join("ann", channels=(Channel.EMAIL,))
    for _ in range(2):
        await world.route(a_record(an_event()), a_record(b"?"))

    value = world.metrics.registry.get_sample_value
    assert value("sigmora_events_routed_total", {"lane": "standard"}) == 1
    assert value("sigmora_decisions_total", {"outcome": "SEND", "reason": "matched"}) == 1
    assert value("sigmora_deliveries_published_total", {"channel": "EMAIL"}) == 1
    assert value("sigmora_dead_letters_total", {"consumer": "router"}) == 2
