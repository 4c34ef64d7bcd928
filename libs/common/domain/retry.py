"""Decides what follows an attempt: done, another try and when, parked, or dead. Knows no broker and no clock.

Each tier is a topic with one constant delay, counted from the failure. With the default schedule:

    attempt fails    1      2      3      4       5     6
    next try after   5 s    30 s   2 min  10 min  1 h   none: DEAD
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from libs.common.domain.outcome import Accepted, NotNow, Outcome, Refused, Unknown
from libs.common.domain.states import State

DEFAULT_DELAYS = (
    timedelta(seconds=5),
    timedelta(seconds=30),
    timedelta(minutes=2),
    timedelta(minutes=10),
    timedelta(hours=1),
)


class UnknownPolicy(StrEnum):
    """What a channel does when it cannot tell whether the provider took a message."""

    RETRY = "retry"
    """Send again with the same idempotency key."""
    QUERY = "query"
    """Ask the provider before it is sent again; one that cannot say in all tries leaves it as it is."""
    PARK = "park"
    """Wait for a receipt or an operator: a second SMS costs money and nerves."""


@dataclass(frozen=True)
class RetrySchedule:
    """The delays of the tiers, in order; tier n is the topic `deliveries.<channel>.retry.<n>`, n from 1."""

    delays: tuple[timedelta, ...] = DEFAULT_DELAYS

    @property
    def attempts(self) -> int:
        """How many attempts a delivery gets in all."""
        return len(self.delays) + 1

    def tier_after(self, attempt: int, retry_after: timedelta | None = None) -> int | None:
        """The tier for the try after failed attempt `attempt` (from 1), or None when they are used up.

        A provider's Retry-After picks the first tier that is long enough, never an earlier one than the schedule's;
        longer than the longest: the longest.
        """
        if attempt >= self.attempts:
            return None
        tier = attempt
        while retry_after is not None and tier < len(self.delays) and self.delays[tier - 1] < retry_after:
            tier += 1
        return tier

    def delay(self, tier: int) -> timedelta:
        """The constant delay of tier `tier`, from 1."""
        return self.delays[tier - 1]


@dataclass(frozen=True)
class Settle:
    """The delivery rests in `state`; nothing more is tried by itself."""

    state: State
    reason: str = ""
    provider_message_id: str = ""


@dataclass(frozen=True)
class RetryAt:
    """Another attempt, by way of `tier`, not before `due_at`. `state` is RETRYING, or UNKNOWN when the last attempt may
    have been taken."""

    tier: int
    due_at: datetime
    reason: str
    state: State = State.RETRYING


Step = Settle | RetryAt


def next_step(
    outcome: Outcome,
    attempt: int,
    now: datetime,
    schedule: RetrySchedule,
    policy: UnknownPolicy = UnknownPolicy.RETRY,
    at_least: timedelta = timedelta(),
) -> Step:
    """What follows attempt number `attempt` (from 1) that ended at `now` with `outcome`. `at_least`: what others that
    were asked in the same attempt want to be left alone for."""
    match outcome:
        case Accepted(provider_message_id):
            return Settle(State.SENT, provider_message_id=provider_message_id)
        case Refused(reason):
            return Settle(State.UNDELIVERABLE, reason)
        case NotNow(reason, retry_after):
            return _again(State.RETRYING, reason, attempt, now, schedule, max(retry_after or timedelta(), at_least))
        case Unknown(reason):
            if policy is UnknownPolicy.PARK:
                return Settle(State.UNKNOWN, reason)
            step = _again(State.UNKNOWN, reason, attempt, now, schedule, at_least)
            if policy is UnknownPolicy.QUERY and isinstance(step, Settle):
                return Settle(State.UNKNOWN, reason)  # not DEAD: a redrive would send it without asking
            return step


def _again(
    state: State, reason: str, attempt: int, now: datetime, schedule: RetrySchedule, retry_after: timedelta
) -> Step:
    tier = schedule.tier_after(attempt, retry_after)
    if tier is None:
        return Settle(State.DEAD, reason)
    return RetryAt(tier, now + schedule.delay(tier), reason, state)
