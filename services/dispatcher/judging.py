"""Decides who may send a delivery that somebody has claimed before. Pure: it is told what the store has, and the time.

A record asks for attempt n; the store has the delivery in some state after attempt a.

    found                              verdict
    ---------------------------------  -----------------------------------------------------------------------
    settled (sent, refused, dead, …)   Skip: nothing may start any more
    SENDING, owner is this group       Ours: our own claim, whose answer was lost
    SENDING, lease alive               Later: somebody else's; the same attempt again once the lease is over
    SENDING, lease over, n > a         Take: a retry record proves that attempt a was answered
    SENDING, lease over, n <= a        the outcome of a is unknown: what the channel's policy says (Take a+1, or
                                       GiveUp: parked as UNKNOWN, or DEAD when a was the last)
    RETRYING or UNKNOWN, n > a         Take
    RETRYING or UNKNOWN, n <= a        Skip: its retry record is on the log, as it was before the state was written
    QUEUED or HELD                     Take
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from libs.common.domain.deliveries import KnownDelivery, Lease, PutOff, Take, Work
from libs.common.domain.outcome import Unknown
from libs.common.domain.retry import RetryAt, RetrySchedule, Settle, UnknownPolicy, next_step
from libs.common.domain.states import SETTLED, State


@dataclass(frozen=True, slots=True)
class Skip:
    """Nothing remains to be done for this record."""

    reason: str


@dataclass(frozen=True, slots=True)
class Ours:
    """The claim is ours already."""


@dataclass(frozen=True, slots=True)
class GiveUp:
    """No further attempt: the delivery, as `found`, comes to rest."""

    found: KnownDelivery
    step: Settle


Verdict = Skip | Ours | PutOff | Take | GiveUp


def judge(work: Work, found: KnownDelivery, lease: Lease, schedule: RetrySchedule, policy: UnknownPolicy) -> Verdict:
    """What becomes of `work`, given what was `found`; see the table above."""
    if found.state in SETTLED:
        return Skip("settled")
    if found.state is State.SENDING:
        return _sending(work, found, lease, schedule, policy)
    if found.state in (State.RETRYING, State.UNKNOWN) and work.attempt <= found.attempt:
        return Skip("superseded")
    return Take(found, work.attempt)


def _sending(work: Work, found: KnownDelivery, lease: Lease, schedule: RetrySchedule, policy: UnknownPolicy) -> Verdict:
    if found.owner == lease.owner:
        return Ours()
    if found.lease_until is not None and found.lease_until > lease.now:
        return put_off(schedule, lease.now, "claimed_elsewhere", found.lease_until - lease.now)
    if work.attempt > found.attempt:
        return Take(found, work.attempt)
    match next_step(Unknown("lease_expired"), found.attempt, lease.now, schedule, policy):
        case RetryAt():
            return Take(found, found.attempt + 1)  # the lease has been the delay: now, not by way of a tier
        case Settle() as step:
            return GiveUp(found, step)


def put_off(schedule: RetrySchedule, now: datetime, reason: str, at_least: timedelta | None = None) -> PutOff:
    """The same attempt again, by way of the first tier that is long enough (the longest if none is). Being too early
    does no harm: whoever looks then puts it off again."""
    tier = schedule.tier_after(1, at_least) or 1
    return PutOff(tier, now + schedule.delay(tier), reason)
