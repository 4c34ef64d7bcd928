"""Delivery windows: the hours of a subscriber's own day in which a notification may arrive. Decides whether one is
open, and when the next one opens; knows nothing of who asks.

A window is `HH:MM-HH:MM` in the subscriber's time zone, the end not included; one that ends before it starts spans
midnight (`22:00-06:00`), one that ends when it starts is the whole day. `now` and `anytime` do not restrict.
"""

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

ALWAYS = frozenset({"now", "anytime"})
_WINDOW = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-(?:([01]\d|2[0-3]):([0-5]\d)|24:00)")


@dataclass(frozen=True)
class Window:
    """A daily window, in wall-clock time."""

    start: time
    end: time

    @property
    def spans_midnight(self) -> bool:
        """Whether it ends on the day after the one it started on."""
        return self.end <= self.start


@lru_cache(maxsize=4096)
def parse_window(text: str) -> Window | None:
    """The window that `text` names, None for one that never restricts; raises ValueError for anything else."""
    if text.strip().lower() in ALWAYS:
        return None
    found = _WINDOW.fullmatch(text.strip())
    if found is None:
        raise ValueError(f"{text!r} is not a delivery window such as 08:00-20:00, or now")
    end = time(int(found[3]), int(found[4])) if found[3] else time(0, 0)
    return Window(time(int(found[1]), int(found[2])), end)


@lru_cache(maxsize=1024)
def parse_time_zone(name: str) -> ZoneInfo:
    """The IANA time zone called `name`; raises ValueError when there is none."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError(f"{name!r} is not an IANA time zone such as Europe/Berlin") from error


def next_open(windows: tuple[str, ...], time_zone: str, now: datetime) -> datetime | None:
    """When the subscriber may be reached next: None if right now, else the instant (UTC) at which a window opens.

    Bounds are wall-clock times and go to UTC one by one, so that a day on which the clocks change is right too: a bound
    that does not exist (spring) moves forward with the clock, one that exists twice (autumn) means the first. A window
    whose start has moved past its end does not open on that day.
    """
    parsed = [parse_window(window) for window in windows]
    daily = [window for window in parsed if window is not None]
    if len(daily) < len(parsed) or not daily:
        return None
    zone = parse_time_zone(time_zone)
    today = now.astimezone(zone).date()
    days = [today + timedelta(days=day) for day in (-1, 0, 1, 2, 3)]
    spans = [span for day in days for window in daily if (span := _span(window, day, zone))[0] < span[1]]
    if any(start <= now < end for start, end in spans):
        return None
    return min(start for start, _ in spans if start > now)


def _span(window: Window, day: date, zone: ZoneInfo) -> tuple[datetime, datetime]:
    last = day + timedelta(days=1) if window.spans_midnight else day
    return (
        datetime.combine(day, window.start, zone).astimezone(UTC),
        datetime.combine(last, window.end, zone).astimezone(UTC),
    )
