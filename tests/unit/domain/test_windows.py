"""When somebody may be reached: wall clocks, midnight, and the days on which clocks change."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.common.domain.windows import next_open, parse_time_zone, parse_window


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("windows", "time_zone", "now", "opens"),
    [
        # no restriction
        ((), "UTC", "2026-03-02T12:00", None),
        (("now",), "UTC", "2026-03-02T12:00", None),
        (("08:00-09:00", "anytime"), "UTC", "2026-03-02T12:00", None),
        (("08:00-08:00",), "UTC", "2026-03-02T07:59", None),
        # the start is in, the end is not
        (("08:00-20:00",), "UTC", "2026-03-02T08:00", None),
        (("08:00-20:00",), "UTC", "2026-03-02T19:59", None),
        (("08:00-20:00",), "UTC", "2026-03-02T20:00", "2026-03-03T08:00"),
        (("08:00-20:00",), "UTC", "2026-03-02T07:59", "2026-03-02T08:00"),
        (("08:00-24:00",), "UTC", "2026-03-02T23:59", None),
        (("08:00-24:00",), "UTC", "2026-03-03T00:00", "2026-03-03T08:00"),
        # over midnight
        (("22:00-06:00",), "UTC", "2026-03-02T23:00", None),
        (("22:00-06:00",), "UTC", "2026-03-02T05:59", None),
        (("22:00-06:00",), "UTC", "2026-03-02T06:00", "2026-03-02T22:00"),
        # several: the one that opens first
        (("18:00-19:00", "13:00-14:00"), "UTC", "2026-03-02T12:00", "2026-03-02T13:00"),
        # somebody else's day
        (("08:00-20:00",), "Asia/Tokyo", "2026-03-02T12:00", "2026-03-02T23:00"),
        (("08:00-20:00",), "Pacific/Kiritimati", "2026-03-01T18:00", None),
        # clocks go forward in Berlin at 01:00 UTC on 29 March: 02:30 does not exist and means 03:30
        (("02:30-04:00",), "Europe/Berlin", "2026-03-29T00:59", "2026-03-29T01:30"),
        (("08:00-20:00",), "Europe/Berlin", "2026-03-28T23:00", "2026-03-29T06:00"),
        # a window that begins in the hour that is left out and ends right after it has no time that day
        (("02:30-03:00",), "Europe/Berlin", "2026-03-28T23:00", "2026-03-30T00:30"),
        (("02:00-03:00",), "Europe/Berlin", "2026-03-28T23:00", "2026-03-30T00:00"),
        (("02:45-03:15",), "Europe/Berlin", "2026-03-29T01:45", "2026-03-30T00:45"),
        (("02:30-03:00", "05:00-06:00"), "Europe/Berlin", "2026-03-28T23:00", "2026-03-29T03:00"),
        # clocks go back in Berlin at 01:00 UTC on 25 October: 02:30 comes twice, the first counts
        (("02:30-04:00",), "Europe/Berlin", "2026-10-24T23:00", "2026-10-25T00:30"),
        (("08:00-20:00",), "Europe/Berlin", "2026-10-24T23:00", "2026-10-25T07:00"),
    ],
)
def test_a_window_opens_by_the_clock_on_the_wall(
    windows: tuple[str, ...], time_zone: str, now: str, opens: str | None
) -> None:
    assert next_open(windows, time_zone, at(now)) == (at(opens) if opens else None)


@pytest.mark.parametrize("text", ["", "8:00-9:00", "24:00-25:00", "08:00", "08:60-09:00", "later", "08:00-20:00Z"])
def test_what_is_no_window_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="delivery window"):
        parse_window(text)


@pytest.mark.parametrize("name", ["", "Mars/Olympus", "../etc/passwd", "Europe"])
def test_what_is_no_time_zone_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="time zone"):
        parse_time_zone(name)


@given(
    now=st.datetimes(datetime(2026, 1, 1), datetime(2027, 12, 31), timezones=st.just(UTC)),  # noqa: DTZ001 - hypothesis adds the zone
    windows=st.lists(
        st.tuples(st.integers(0, 23), st.integers(0, 23)).map(lambda hours: f"{hours[0]:02}:00-{hours[1]:02}:30"),
        min_size=1,
        max_size=3,
    ),
    time_zone=st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata"]),
)
def test_when_a_window_opens_it_is_open_and_not_more_than_a_day_and_a_half_away(
    now: datetime, windows: list[str], time_zone: str
) -> None:
    opens = next_open(tuple(windows), time_zone, now)

    if opens is not None:
        assert now < opens < now + timedelta(hours=36)
        assert next_open(tuple(windows), time_zone, opens) is None
