"""Plans what is written for an audience on record: batches of deliveries, decisions, and holds. Everything follows from
the record alone, so that a second run after a crash plans the same, down to the numbers of the chunks."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import msgspec
from pyroaring import BitMap

from libs.common.domain.audience import Audience, Group
from libs.common.domain.channels import Channel
from libs.common.domain.decide import Outcome, Reason
from libs.common.domain.keys import hold_id
from libs.common.domain.messages import DecisionChunk, DeliveryBatch, Event

BATCH = 100
"""Subscribers per delivery record: large enough that the event's content weighs little, small enough to spread."""
DECISION_BATCH = 1_000

Ids = Callable[[Sequence[int]], list[str]]
"""Subscriber ids of ordinals, in their order; those of erased subscribers are left out."""


@dataclass(frozen=True)
class Hold:
    """A batch that waits for its time."""

    id: str
    due_at: datetime
    batch: DeliveryBatch
    addressed: bool = False
    """Whether the event named its recipients: then it is the windows of their default subscription that count."""


@dataclass(frozen=True)
class Claimed:
    """What a claim on due holds got: those that can be read, and the bytes of those that cannot, by hold id."""

    holds: tuple[Hold, ...] = ()
    unreadable: Mapping[str, bytes] = field(default_factory=dict)


def batches(event: Event, audience: Audience, ids: Ids) -> Iterator[DeliveryBatch]:
    """What goes to the dispatcher at once."""
    event = _without_recipients(event)
    numbers: dict[Channel, int] = {}
    for group in audience.choice.groups:
        if group.outcome is Outcome.SEND and group.channel is not None:
            for ordinals in _chunks(group.members, BATCH):
                # A chunk whose members are all erased keeps its number, so that the others keep theirs.
                number = numbers.get(group.channel, 0)
                numbers[group.channel] = number + 1
                if members := ids(ordinals):
                    yield DeliveryBatch(event=event, channel=group.channel, subscribers=tuple(members), chunk=number)


def _without_recipients(event: Event) -> Event:
    """A batch has its own subscribers: up to 10,000 named ones must not ride along with each hundred, and with each
    retry of one."""
    if not event.data.recipients:
        return event
    return msgspec.structs.replace(event, data=msgspec.structs.replace(event.data, recipients=()))


def holds(event: Event, audience: Audience, ids: Ids) -> Iterator[Hold]:
    """What waits."""
    addressed = bool(event.data.recipients)
    event = _without_recipients(event)
    for group in audience.choice.groups:
        if group.outcome is Outcome.HOLD and group.channel is not None and group.due_at is not None:
            for number, ordinals in enumerate(_chunks(group.members, BATCH)):
                if members := ids(ordinals):
                    batch = DeliveryBatch(event=event, channel=group.channel, subscribers=tuple(members), chunk=number)
                    # The reason is in it: two groups may wait for the same time.
                    due = f"{group.due_at.isoformat()}/{group.reason}"
                    yield Hold(hold_id(event.eventid, group.channel, due, number), group.due_at, batch, addressed)


def decision_chunks(audience: Audience, ids: Ids) -> Iterator[DecisionChunk]:
    """Every conclusion, for whoever asks why."""
    for group in audience.choice.groups:
        members = list(_chunks(group.members, DECISION_BATCH)) or [()]  # NO_MATCH has no members, and is said too
        for number, ordinals in enumerate(members):
            yield _decision(audience, group, number, tuple(ids(ordinals)))
    unknown = audience.choice.unknown
    nobody = Group(Outcome.SUPPRESS, Reason.UNKNOWN_RECIPIENT)
    for number, start in enumerate(range(0, len(unknown), DECISION_BATCH)):
        yield _decision(audience, nobody, number, unknown[start : start + DECISION_BATCH])


def later_decision(hold: Hold, outcome: Outcome, reason: Reason, now: datetime) -> DecisionChunk:
    """What is said of a hold about which it was decided again when it was released."""
    event = hold.batch.event
    return DecisionChunk(
        event_id=event.eventid,
        tenant=event.tenant,
        outcome=outcome,
        reason=reason,
        channel=hold.batch.channel,
        due_at=hold.due_at,
        subscribers=hold.batch.subscribers,
        chunk=hold.batch.chunk,
        decided_at=now,
    )


def members_of(audience: Audience) -> BitMap:
    """Everybody in the audience, whatever the outcome."""
    return BitMap.union(BitMap(), *(group.members for group in audience.choice.groups))


def _decision(audience: Audience, group: Group, number: int, subscribers: tuple[str, ...]) -> DecisionChunk:
    return DecisionChunk(
        event_id=audience.event_id,
        tenant=audience.tenant,
        outcome=group.outcome,
        reason=group.reason,
        channel=group.channel or "",
        due_at=group.due_at,
        subscribers=subscribers,
        chunk=number,
        decided_at=audience.decided_at,
        index_position=dict(audience.index_position),
    )


def _chunks(members: BitMap, size: int) -> Iterator[Sequence[int]]:
    ordinals = members.to_array()
    for start in range(0, len(ordinals), size):
        yield ordinals[start : start + size]
