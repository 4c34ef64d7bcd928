"""Who is chosen for an event: every subscriber once on each channel, by the earliest decision."""

from collections import defaultdict
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyroaring import BitMap

from libs.common.domain.audience import Choice, Group, choose_addressed, choose_matched
from libs.common.domain.channels import Channel
from libs.common.domain.decide import Outcome, Reason, decide
from libs.common.domain.index import IndexedSubscriber, Profile
from libs.common.domain.messages import Content, Event

NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
AT_13 = datetime(2026, 3, 2, 13, 0, tzinfo=UTC)
AT_18 = datetime(2026, 3, 2, 18, 0, tzinfo=UTC)


def an_event(content: Content | None = None, expiresat: datetime | None = None) -> Event:
    return Event(
        id="1", source="/s", time=NOON, tenant="acme", eventid="e", expiresat=expiresat, data=content or Content()
    )


def mail(*windows: str) -> Profile:
    return Profile(("EMAIL",), windows)


def members(choice: Choice) -> dict[tuple[str, str, str | None, datetime | None], list[int]]:
    return {(g.outcome, g.reason, g.channel, g.due_at): list(g.members) for g in choice.groups}


def test_nobody_who_matches_is_a_conclusion_too() -> None:
    nobody = Choice((Group(Outcome.NO_MATCH, Reason.NOBODY_MATCHED),))

    assert choose_matched(an_event(), [], NOON) == nobody
    assert choose_matched(an_event(), [(mail(), BitMap())], NOON) == nobody


def test_a_subscriber_under_several_profiles_gets_the_channels_of_all() -> None:
    choice = choose_matched(an_event(), [(mail(), BitMap([1, 2])), (Profile(("PUSH", "EMAIL")), BitMap([2, 3]))], NOON)

    assert members(choice) == {
        ("SEND", "matched", "EMAIL", None): [1, 2, 3],
        ("SEND", "matched", "PUSH", None): [2, 3],
    }


def test_the_earliest_decision_for_a_channel_stands() -> None:
    choice = choose_matched(
        an_event(),
        [
            (mail("18:00-19:00"), BitMap([1, 2, 3])),
            (mail("13:00-14:00"), BitMap([2, 3])),
            (mail(), BitMap([3])),
        ],
        NOON,
    )

    assert members(choice) == {
        ("SEND", "matched", "EMAIL", None): [3],
        ("HOLD", "window_closed", "EMAIL", AT_13): [2],
        ("HOLD", "window_closed", "EMAIL", AT_18): [1],
    }


def test_an_outcome_without_a_channel_counts_only_where_there_is_no_other() -> None:
    event = an_event(Content(channels=(Channel.EMAIL,)))

    choice = choose_matched(event, [(mail(), BitMap([1])), (Profile(("SMS",)), BitMap([1, 2]))], NOON)

    assert members(choice) == {
        ("SEND", "matched", "EMAIL", None): [1],
        ("SUPPRESS", "channel_not_wanted", None, None): [2],
    }


profiles = st.builds(
    Profile,
    channels=st.lists(st.sampled_from(["EMAIL", "SMS", "PUSH"]), unique=True, min_size=1).map(tuple),
    windows=st.sampled_from([(), ("13:00-14:00",), ("18:00-19:00",), ("08:00-11:00",)]),
)
matches = st.lists(st.tuples(profiles, st.sets(st.integers(0, 9), max_size=6)), max_size=6)
asked = st.lists(st.sampled_from(Channel), unique=True, max_size=2).map(tuple)


@given(matches, asked, st.none() | st.integers(-1, 30))
def test_every_matched_subscriber_is_in_exactly_one_group_for_each_channel(
    matched: list[tuple[Profile, set[int]]], channels: tuple[Channel, ...], expires: int | None
) -> None:
    """The model: subscriber by subscriber, with plain sets."""
    event = an_event(Content(channels=channels), None if expires is None else NOON + timedelta(hours=expires))
    best: dict[tuple[int, Channel], datetime] = {}
    for profile, ordinals in matched:
        decision = decide(event, profile, NOON)
        for place in ((ordinal, channel) for ordinal in ordinals for channel in decision.channels):
            best[place] = min(best.get(place, datetime.max.replace(tzinfo=UTC)), decision.due_at or NOON)
    everybody = {ordinal for _, ordinals in matched for ordinal in ordinals}

    choice = choose_matched(event, [(profile, BitMap(ordinals)) for profile, ordinals in matched], NOON)

    chosen: dict[tuple[int, Channel], list[datetime]] = defaultdict(list)
    unreached: list[int] = []
    for group in choice.groups:
        for ordinal in group.members:
            if group.channel is None:
                unreached.append(ordinal)
            else:
                chosen[ordinal, group.channel].append(group.due_at or NOON)
    assert chosen == {place: [due] for place, due in best.items()}
    assert sorted(unreached) == sorted(everybody - {ordinal for ordinal, _ in best})


@given(matches, st.randoms())
def test_the_order_of_matches_changes_nothing(matched: list[tuple[Profile, set[int]]], random: object) -> None:
    shuffled = matched.copy()
    random.shuffle(shuffled)  # type: ignore[attr-defined]  # hypothesis gives a Random

    one, other = (
        choose_matched(an_event(), [(profile, BitMap(ordinals)) for profile, ordinals in order], NOON)
        for order in (matched, shuffled)
    )

    assert one == other


def a_subscriber(
    name: str, ordinal: int, *, active: bool = True, channels: tuple[str, ...] = ("EMAIL",)
) -> IndexedSubscriber:
    return IndexedSubscriber(name, ordinal, 1, active, (), Profile(channels))


def test_an_event_that_names_its_recipients_reaches_them_and_says_who_is_missing() -> None:
    known = {"a": a_subscriber("a", 1), "b": a_subscriber("b", 2, channels=("PUSH",))}
    known["gone"] = a_subscriber("gone", 3, active=False)

    choice = choose_addressed(an_event(Content(recipients=("a", "b", "x", "a", "gone", "y", "x"))), known, NOON)

    assert members(choice) == {
        ("SEND", "addressed", "EMAIL", None): [1],
        ("SEND", "addressed", "PUSH", None): [2],
        ("SUPPRESS", "unsubscribed", None, None): [3],
    }
    assert choice.unknown == ("x", "y")


def test_the_channels_of_an_event_that_names_its_recipients_are_used_as_they_are() -> None:
    event = an_event(Content(recipients=("a",), channels=(Channel.SMS,)))

    assert members(choose_addressed(event, {"a": a_subscriber("a", 1)}, NOON)) == {
        ("SEND", "addressed", "SMS", None): [1]
    }


@pytest.mark.parametrize("recipients", [("x",), ("x", "y")])
def test_an_event_for_unknown_recipients_alone_has_no_groups(recipients: tuple[str, ...]) -> None:
    assert choose_addressed(an_event(Content(recipients=recipients)), {}, NOON) == Choice((), recipients)
