"""The rules of dispatch that settings decide."""

from dataclasses import dataclass
from datetime import timedelta

from libs.common.domain.retry import RetrySchedule
from libs.common.topics import Topics


@dataclass(frozen=True)
class Rules:
    """`lease` outlives a member's session and its slowest call, so that nobody takes over what is still being sent;
    `margin` is kept free at its end for the settling and for clocks that differ."""

    topics: Topics
    schedule: RetrySchedule
    lease: timedelta
    margin: timedelta = timedelta(seconds=2)
