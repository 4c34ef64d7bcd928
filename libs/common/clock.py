"""The one place that reads the wall clock. Everything that decides is handed a `Clock`."""

from collections.abc import Callable
from datetime import UTC, datetime

Clock = Callable[[], datetime]
"""Gives the present as an aware UTC datetime."""


def utc_now() -> datetime:
    """The present."""
    return datetime.now(UTC)
