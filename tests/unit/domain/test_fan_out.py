"""What is written for an audience on record: the same whenever it is planned."""

from collections.abc import Sequence
from datetime import UTC, datetime

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from pyroaring import BitMap

from libs.common.domain.audience import Audience, Choice, Group
from libs.common.domain.channels import Channel
from libs.common.domain.decide import Outcome, Reason
from libs.common.domain.fan_out import Ids, batches, decision_chunks, holds, members_of
from libs.common.domain.messages import DeliveryBatch, Event

NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
AT_13 = datetime(2026, 3, 2, 13, 0, tzinfo=UTC)
AT_18 = datetime(2026, 3, 2, 18, 0, tzinfo=UTC)
EVENT = Event(id="1", source="/s", time=NOON, tenant="acme", eventid="e")


def names(*erased: int) -> Ids:
    def ids(ordinals: Sequence[int]) -> list[str]:
        return [f"u{ordinal}" for ordinal in ordinals if ordinal not in erased]

    return ids


def an_audience(*groups: Group, unknown: tuple[str, ...] = ()) -> Audience:
    return Audience("e", "acme", Choice(groups, unknown), {"0": 7}, "events/0/1", NOON)


def send(members: Sequence[int] | range, channel: Channel = Channel.EMAIL) -> Group:
    return Group(Outcome.SEND, Reason.MATCHED, channel, None, BitMap(members))


def hold(members: Sequence[int] | range, due_at: datetime, reason: Reason = Reason.WINDOW_CLOSED) -> Group:
    return Group(Outcome.HOLD, reason, Channel.EMAIL, due_at, BitMap(members))


def test_a_batch_has_at_most_a_hundred_subscribers() -> None:
    planned = list(batches(EVENT, an_audience(send(range(250))), names()))

    assert [(batch.chunk, len(batch.subscribers)) for batch in planned] == [(0, 100), (1, 100), (2, 50)]


def test_each_channel_counts_its_own_chunks() -> None:
    planned = batches(EVENT, an_audience(send([1]), send([1, 2], Channel.PUSH)), names())

    assert [(batch.channel, batch.chunk, batch.subscribers) for batch in planned] == [
        ("EMAIL", 0, ("u1",)),
        ("PUSH", 0, ("u1", "u2")),
    ]


def test_somebody_erased_is_left_out_and_moves_nobody_to_another_chunk() -> None:
    audience = an_audience(send(range(250)))

    after = list(batches(EVENT, audience, names(*range(100), 120)))

    assert [batch.chunk for batch in after] == [1, 2]
    assert after[0].subscribers == tuple(f"u{n}" for n in range(100, 200) if n != 120)


def test_holds_that_wait_for_another_time_or_reason_are_others() -> None:
    audience = an_audience(
        hold(range(150), AT_13), hold([200], AT_18), hold([201], AT_18, Reason.NOT_BEFORE), send([300])
    )

    planned = list(holds(EVENT, audience, names()))

    assert [(one.due_at, one.batch.chunk, len(one.batch.subscribers)) for one in planned] == [
        (AT_13, 0, 100),
        (AT_13, 1, 50),
        (AT_18, 0, 1),
        (AT_18, 0, 1),
    ]
    assert len({one.id for one in planned}) == 4


def test_every_conclusion_is_told() -> None:
    audience = an_audience(
        send(range(1_500)), Group(Outcome.SUPPRESS, Reason.UNSUBSCRIBED, members=BitMap([9])), unknown=("x", "y")
    )

    told = [
        (one.outcome, one.reason, one.channel, one.chunk, len(one.subscribers))
        for one in decision_chunks(audience, names())
    ]

    assert told == [
        ("SEND", "matched", "EMAIL", 0, 1_000),
        ("SEND", "matched", "EMAIL", 1, 500),
        ("SUPPRESS", "unsubscribed", "", 0, 1),
        ("SUPPRESS", "unknown_recipient", "", 0, 2),
    ]


def test_that_nobody_matched_is_told() -> None:
    (told,) = decision_chunks(an_audience(Group(Outcome.NO_MATCH, Reason.NOBODY_MATCHED)), names())

    assert (told.outcome, told.reason, told.subscribers) == ("NO_MATCH", "nobody_matched", ())
    assert (told.decided_at, told.index_position) == (NOON, {"0": 7})


groups = st.lists(st.sets(st.integers(0, 500), max_size=300), max_size=3)


@given(groups, groups)
def test_everybody_is_in_one_batch_and_a_second_plan_is_byte_for_byte_the_first(
    sent: list[set[int]], held: list[set[int]]
) -> None:
    audience = an_audience(
        *(send(sorted(members), channel) for members, channel in zip(sent, Channel, strict=False)),
        *(hold(sorted(members), due) for members, due in zip(held, (AT_13, AT_18), strict=False)),
    )
    restored = an_audience(
        *(
            Group(g.outcome, g.reason, g.channel, g.due_at, BitMap.deserialize(g.members.serialize()))
            for g in audience.choice.groups
        )
    )

    def planned(of: Audience) -> list[DeliveryBatch]:
        return [*batches(EVENT, of, names()), *(one.batch for one in holds(EVENT, of, names()))]

    reached = [(batch.channel, name) for batch in batches(EVENT, audience, names()) for name in batch.subscribers]
    assert sorted(reached) == sorted(
        (channel, f"u{n}") for members, channel in zip(sent, Channel, strict=False) for n in members
    )
    assert msgspec.json.encode(planned(audience)) == msgspec.json.encode(planned(restored))
    assert set(members_of(audience)) == set().union(*sent, *held[:2])
