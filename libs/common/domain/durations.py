"""Reads durations as people write them in settings: `5s`, `2m`, `1h`, `500ms`, `14d`. Knows no other form."""

import re
from datetime import timedelta

_UNITS = {"ms": "milliseconds", "s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")


def parse_duration(text: str) -> timedelta:
    """The duration that `text` names; raises ValueError for anything that is not a number with a unit."""
    found = _DURATION.fullmatch(text.strip().lower())
    if found is None:
        raise ValueError(f"{text!r} is not a duration such as 500ms, 5s, 2m, 1h or 14d")
    return timedelta(**{_UNITS[found[2]]: float(found[1])})


def format_duration(duration: timedelta) -> str:
    """The shortest spelling that `parse_duration` reads back."""
    milliseconds = round(duration / timedelta(milliseconds=1))
    for unit, size in (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000)):
        if milliseconds and milliseconds % size == 0:
            return f"{milliseconds // size}{unit}"
    return f"{milliseconds}ms"
