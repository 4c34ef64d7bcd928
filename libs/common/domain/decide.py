"""Decides what happens to one event for a subscriber: send now, hold until a time, or leave it, and why. Knows nothing
of who matched or how many they are: equal profiles get equal decisions, so one call decides for all who share one."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from libs.common.domain.channels import Channel, Lane
from libs.common.domain.index import Profile
from libs.common.domain.messages import Event
from libs.common.domain.windows import next_open


class Outcome(StrEnum):
    """What happens to an event for a subscriber."""

    SEND = "SEND"
    """It goes to the dispatcher at once."""
    HOLD = "HOLD"
    """It goes to the dispatcher at `due_at`."""
    SUPPRESS = "SUPPRESS"
    """It must not be sent."""
    EXPIRED = "EXPIRED"
    """It would come too late to be of use."""
    NO_MATCH = "NO_MATCH"
    """Nobody wants it."""


class Reason(StrEnum):
    """Why. Stable words: they stand in records, metrics and explanations."""

    MATCHED = "matched"
    """SEND: a filter of the subscriber matched."""
    ADDRESSED = "addressed"
    """SEND: the event names the subscriber."""
    NOT_BEFORE = "not_before"
    """HOLD: the event's release time is still ahead."""
    WINDOW_CLOSED = "window_closed"
    """HOLD: outside the subscriber's delivery windows, when it was routed or when it was released late."""
    CHANNEL_NOT_WANTED = "channel_not_wanted"
    """SUPPRESS: the event's channels and the subscriber's have none in common."""
    UNSUBSCRIBED = "unsubscribed"
    """SUPPRESS: the event names a subscriber who has unsubscribed."""
    UNKNOWN_RECIPIENT = "unknown_recipient"
    """SUPPRESS: the event names somebody whom the tenant does not have."""
    EXPIRED = "expired"
    """EXPIRED: the event's time was over when it was routed or released."""
    EXPIRES_WHILE_HELD = "expires_while_held"
    """EXPIRED: its time will be over when it could first be sent."""
    NOBODY_MATCHED = "nobody_matched"
    """NO_MATCH: no filter of any active subscriber matched."""


@dataclass(frozen=True)
class Decision:
    """A conclusion. `due_at` with HOLD alone; `channels` with SEND and HOLD alone."""

    outcome: Outcome
    reason: Reason
    due_at: datetime | None = None
    channels: tuple[Channel, ...] = ()


_LAST = datetime(9999, 1, 1, tzinfo=UTC)
"""Calendar arithmetic ends with that year; what is to be released later is held until then."""
_MILLISECOND = timedelta(milliseconds=1)


def decide(event: Event, profile: Profile, now: datetime) -> Decision:
    """The decision for all who share `profile`, at `now`.

    A delivery window does not hold back the `critical` lane: a one-time code is wanted at once, or is of no use. The
    event's own release time holds back every lane.
    """
    if has_expired(event, now):
        return Decision(Outcome.EXPIRED, Reason.EXPIRED)
    channels = choose_channels(event, profile)
    if not channels:
        return Decision(Outcome.SUPPRESS, Reason.CHANNEL_NOT_WANTED)
    due_at, held_by = first_chance(event, profile, now)
    if due_at <= now:
        return Decision(Outcome.SEND, Reason.ADDRESSED if event.data.recipients else Reason.MATCHED, None, channels)
    if event.expiresat is not None and event.expiresat <= due_at:
        return Decision(Outcome.EXPIRED, Reason.EXPIRES_WHILE_HELD)
    return Decision(Outcome.HOLD, held_by, due_at, channels)


def has_expired(event: Event, now: datetime) -> bool:
    """Whether the event is of no use any more."""
    return event.expiresat is not None and event.expiresat <= now


def choose_channels(event: Event, profile: Profile) -> tuple[Channel, ...]:
    """The channels to use. An event to everybody can only narrow what each chose; one that names its recipients says
    outright where it goes, and leaves the choice to them by saying nothing."""
    chosen = tuple(dict.fromkeys(Channel(name) for name in profile.channels))
    asked = tuple(dict.fromkeys(event.data.channels))
    if not asked:
        return chosen
    if event.data.recipients:
        return asked
    return tuple(channel for channel in chosen if channel in asked)


def first_chance(event: Event, profile: Profile, now: datetime) -> tuple[datetime, Reason]:
    """When it can be sent first (`now`: at once), and what it waits for until then."""
    at = now
    if event.releasetime is not None and event.releasetime > now:
        at = _up_to_millisecond(min(event.releasetime, _LAST).astimezone(UTC))
    opens = None if event.lane is Lane.CRITICAL else next_open(profile.windows, profile.time_zone, at)
    return (at, Reason.NOT_BEFORE) if opens is None else (opens, Reason.WINDOW_CLOSED)


def _up_to_millisecond(moment: datetime) -> datetime:
    """The next whole millisecond: the database keeps no finer time, and rounding down would be early."""
    over = timedelta(microseconds=moment.microsecond % 1000)
    return moment if not over else moment - over + _MILLISECOND
