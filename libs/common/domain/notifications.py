"""A notification as it can be looked up: its deliveries as they are kept, what was decided where there is none yet, and
what both come to. Pure."""

from collections.abc import Collection, Iterable
from datetime import datetime

import msgspec

from libs.common.domain.channels import MAIN_ENDPOINT, Channel, Lane
from libs.common.domain.states import State

PROGRESS: tuple[State, ...] = (
    State.READ,
    State.DELIVERED,
    State.SENT,
    State.SENDING,
    State.RETRYING,
    State.UNKNOWN,
    State.QUEUED,
    State.HELD,
    State.DEAD,
    State.UNDELIVERABLE,
    State.EXPIRED,
    State.CANCELLED,
    State.SUPPRESSED,
)
"""What stands for a whole: what reached somebody before what is under way, and that before what failed."""

CANCELLABLE: frozenset[State] = frozenset({State.QUEUED, State.HELD, State.RETRYING})
"""Surely not sent, and nobody is sending it now."""


class KeptAttempt(msgspec.Struct, frozen=True, kw_only=True):
    """One call to a provider. `answer`: accepted, refused, not_now or unknown."""

    number: int
    at: datetime
    provider: str
    latency_ms: float
    answer: str
    reason: str = ""
    next_at: datetime | None = None


class KeptDelivery(msgspec.Struct, frozen=True, kw_only=True):
    """A delivery as it is kept."""

    id: str
    tenant: str
    event_id: str
    notification_id: str
    subscriber_id: str
    channel: Channel
    endpoint: str = MAIN_ENDPOINT
    generation: int = 0
    lane: Lane = Lane.STANDARD
    state: State
    reason: str = ""
    attempt: int = 0
    due_at: datetime | None = None
    attempts: tuple[KeptAttempt, ...] = ()
    provider: str = ""
    provider_message_id: str = ""
    detail: str = ""
    created_at: datetime
    updated_at: datetime


class Decided(msgspec.Struct, frozen=True, kw_only=True):
    """What the router concluded for one subscriber. `channel` None: for all."""

    outcome: str
    reason: str
    channel: Channel | None = None
    due_at: datetime | None = None


class Held(msgspec.Struct, frozen=True, kw_only=True):
    """A notification that waits for its time on one channel."""

    tenant: str
    event_id: str
    notification_id: str
    subscriber_id: str
    channel: Channel
    due_at: datetime
    created_at: datetime


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """Where a notification stands on a channel that has no delivery yet."""

    state: State
    reason: str = ""
    due_at: datetime | None = None


_BY_OUTCOME = {"SUPPRESS": State.SUPPRESSED, "EXPIRED": State.EXPIRED}


def overall(states: Iterable[State]) -> State:
    """The one state that stands for several; QUEUED for none."""
    return min(states, key=PROGRESS.index, default=State.QUEUED)


def latest(deliveries: Iterable[KeptDelivery]) -> list[KeptDelivery]:
    """Of each channel and endpoint the last generation: what a forced replay sent stands for what it repeated."""
    found: dict[tuple[Channel, str], KeptDelivery] = {}
    for delivery in deliveries:
        place = (delivery.channel, delivery.endpoint)
        if place not in found or delivery.generation > found[place].generation:
            found[place] = delivery
    return [found[place] for place in sorted(found)]


def standing(channel: Channel, decided: Collection[Decided], now: datetime, held: Held | None = None) -> Standing:
    """Where a notification stands on a channel without a delivery: by what was decided of it, if anything was; and by
    what is still `held`, which may have been put off since."""
    own = [each for each in decided if each.channel is channel] or [each for each in decided if each.channel is None]
    for each in own:
        if each.outcome in _BY_OUTCOME:
            return Standing(state=_BY_OUTCOME[each.outcome], reason=each.reason)
        due_at = each.due_at if held is None else held.due_at
        if each.outcome == "HOLD" and due_at is not None and (held is not None or due_at > now):
            return Standing(state=State.HELD, reason=each.reason, due_at=due_at)
    return Standing(state=State.QUEUED) if held is None else Standing(state=State.HELD, due_at=held.due_at)
