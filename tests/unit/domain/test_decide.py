"""What happens to an event for somebody: the rules, as a table, and where the edges are."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.common.domain.channels import Channel, Lane
from libs.common.domain.decide import Decision, Outcome, Reason, decide
from libs.common.domain.index import Profile
from libs.common.domain.messages import Content, Event

NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
BOTH = (Channel.EMAIL, Channel.INAPP)


def an_event(**changes: object) -> Event:
    content = Content(
        recipients=changes.pop("recipients", ()),  # type: ignore[arg-type]  # the test says it right
        channels=changes.pop("channels", ()),  # type: ignore[arg-type]  # as above
    )
    fields = {"id": "1", "source": "/s", "time": NOON, "tenant": "acme", "eventid": "e", "data": content, **changes}
    return Event(**fields)  # type: ignore[arg-type]  # as above


def a_profile(*windows: str, channels: tuple[str, ...] = BOTH, time_zone: str = "UTC") -> Profile:
    return Profile(channels, windows, time_zone)


MORNING = a_profile("08:00-10:00")
NOW_OPEN = a_profile("08:00-20:00")
TOMORROW_8 = datetime(2026, 3, 3, 8, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("event", "profile", "decision"),
    [
        # nothing restricts
        (an_event(), a_profile(), Decision(Outcome.SEND, Reason.MATCHED, None, BOTH)),
        (an_event(recipients=("u",)), a_profile(), Decision(Outcome.SEND, Reason.ADDRESSED, None, BOTH)),
        # windows
        (an_event(), NOW_OPEN, Decision(Outcome.SEND, Reason.MATCHED, None, BOTH)),
        (an_event(), MORNING, Decision(Outcome.HOLD, Reason.WINDOW_CLOSED, TOMORROW_8, BOTH)),
        (an_event(recipients=("u",)), MORNING, Decision(Outcome.HOLD, Reason.WINDOW_CLOSED, TOMORROW_8, BOTH)),
        (an_event(lane=Lane.BULK), MORNING, Decision(Outcome.HOLD, Reason.WINDOW_CLOSED, TOMORROW_8, BOTH)),
        (an_event(lane=Lane.CRITICAL), MORNING, Decision(Outcome.SEND, Reason.MATCHED, None, BOTH)),
        (
            an_event(),
            a_profile("08:00-10:00", time_zone="America/New_York"),  # 07:00 there
            Decision(Outcome.HOLD, Reason.WINDOW_CLOSED, NOON + HOUR, BOTH),
        ),
        # the event's release time
        (an_event(releasetime=NOON - HOUR), a_profile(), Decision(Outcome.SEND, Reason.MATCHED, None, BOTH)),
        (an_event(releasetime=NOON), a_profile(), Decision(Outcome.SEND, Reason.MATCHED, None, BOTH)),
        (an_event(releasetime=NOON + HOUR), a_profile(), Decision(Outcome.HOLD, Reason.NOT_BEFORE, NOON + HOUR, BOTH)),
        (
            an_event(releasetime=NOON + HOUR, lane=Lane.CRITICAL),
            MORNING,
            Decision(Outcome.HOLD, Reason.NOT_BEFORE, NOON + HOUR, BOTH),
        ),
        # both: the window that is open when the release time has come, or the next
        (an_event(releasetime=NOON + HOUR), NOW_OPEN, Decision(Outcome.HOLD, Reason.NOT_BEFORE, NOON + HOUR, BOTH)),
        (
            an_event(releasetime=NOON + 21 * HOUR),
            MORNING,
            Decision(Outcome.HOLD, Reason.NOT_BEFORE, NOON + 21 * HOUR, BOTH),
        ),
        (
            an_event(releasetime=NOON + 23 * HOUR),
            MORNING,
            Decision(Outcome.HOLD, Reason.WINDOW_CLOSED, TOMORROW_8 + 24 * HOUR, BOTH),
        ),
        # expiry
        (an_event(expiresat=NOON + HOUR), a_profile(), Decision(Outcome.SEND, Reason.MATCHED, None, BOTH)),
        (an_event(expiresat=NOON), a_profile(), Decision(Outcome.EXPIRED, Reason.EXPIRED)),
        (an_event(expiresat=NOON - HOUR), MORNING, Decision(Outcome.EXPIRED, Reason.EXPIRED)),
        (an_event(expiresat=TOMORROW_8), MORNING, Decision(Outcome.EXPIRED, Reason.EXPIRES_WHILE_HELD)),
        (
            an_event(expiresat=TOMORROW_8 + HOUR),
            MORNING,
            Decision(Outcome.HOLD, Reason.WINDOW_CLOSED, TOMORROW_8, BOTH),
        ),
        # channels: an event to everybody narrows what each chose, one that names its recipients says where it goes
        (an_event(channels=("INAPP", "SMS")), a_profile(), Decision(Outcome.SEND, Reason.MATCHED, None, ("INAPP",))),  # type: ignore[arg-type]  # equal to the members
        (an_event(channels=("SMS",)), a_profile(), Decision(Outcome.SUPPRESS, Reason.CHANNEL_NOT_WANTED)),
        (an_event(channels=("SMS",)), MORNING, Decision(Outcome.SUPPRESS, Reason.CHANNEL_NOT_WANTED)),
        (
            an_event(channels=("SMS", "SMS"), recipients=("u",)),
            a_profile(),
            Decision(Outcome.SEND, Reason.ADDRESSED, None, (Channel.SMS,)),
        ),
    ],
)
def test_the_decision_follows_from_event_profile_and_time(event: Event, profile: Profile, decision: Decision) -> None:
    assert decide(event, profile, NOON) == decision


def test_a_due_time_is_never_before_a_release_time_that_the_database_cannot_keep() -> None:
    release = NOON + timedelta(microseconds=1_500)

    assert decide(an_event(releasetime=release), a_profile(), NOON).due_at == NOON + timedelta(milliseconds=2)


def test_the_end_of_the_calendar_is_no_error() -> None:
    decision = decide(an_event(releasetime=datetime.max.replace(tzinfo=UTC)), MORNING, NOON)

    assert decision.outcome is Outcome.HOLD


@given(
    release=st.none() | st.integers(-72, 72),
    expires=st.none() | st.integers(-72, 72),
    windows=st.lists(st.sampled_from(["08:00-10:00", "22:00-06:00", "12:00-13:00", "now"]), max_size=2),
    lane=st.sampled_from(Lane),
)
def test_nothing_is_sent_early_or_useless(
    release: int | None, expires: int | None, windows: list[str], lane: Lane
) -> None:
    """P4, and: what expires is not held past its time."""
    event = an_event(
        releasetime=None if release is None else NOON + release * HOUR,
        expiresat=None if expires is None else NOON + expires * HOUR,
        lane=lane,
    )

    decision = decide(event, a_profile(*windows), NOON)

    at = NOON if decision.outcome is Outcome.SEND else decision.due_at
    if at is None:
        assert decision.outcome is Outcome.EXPIRED
        assert decision.channels == ()
    else:
        assert event.releasetime is None or at >= event.releasetime
        assert event.expiresat is None or at < event.expiresat
        assert decision.channels == BOTH
        assert (decision.outcome is Outcome.HOLD) == (at > NOON)
        assert decide(event, a_profile(*windows), at).outcome is Outcome.SEND


def test_the_end_of_time_in_the_far_west_is_held_and_no_defect() -> None:
    """Converting it to UTC overflowed, and the record stopped its lane for good."""
    end = datetime.fromisoformat("9999-12-31T23:59:59-12:00")

    assert decide(an_event(releasetime=end), a_profile(), NOON).outcome is Outcome.HOLD
