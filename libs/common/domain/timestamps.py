"""Reads instants as RFC 3339 has them. A time without an offset is refused: nobody can tell when it is."""

import re
from datetime import UTC, datetime

_RFC3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)", re.ASCII)
_EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)
_LATEST = datetime(9000, 1, 1, tzinfo=UTC)
"""Room on both sides, so that adding a delay or an offset later on cannot overflow."""


def parse_instant(text: str) -> datetime:
    """The instant (UTC) that `text` names; raises ValueError for anything that is not RFC 3339 with an offset.

    Leap seconds (`23:59:60`) are refused: Python's and MongoDB's time scales do not have them. Digits beyond the
    microsecond are cut off.
    """
    found = _RFC3339.fullmatch(text.strip())
    if found is None:
        raise ValueError("must be an RFC 3339 time with an offset, such as 2030-01-31T08:00:00Z")
    fraction = found[1] or ""
    exact = text.strip().upper().replace(fraction, fraction[:7].ljust(7, "0"), 1) if fraction else text.strip().upper()
    try:
        instant = datetime.fromisoformat(exact).astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError("is no time that exists") from None
    if not _EARLIEST <= instant <= _LATEST:
        raise ValueError("must lie between the years 1970 and 9000")
    return instant
