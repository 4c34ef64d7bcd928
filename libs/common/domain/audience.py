"""Who was chosen for an event, as groups of subscriber ordinals that share outcome, reason, channel and time. Pure: the
router asks the index and the database first and hands the answers in."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from pyroaring import BitMap

from libs.common.domain.channels import Channel
from libs.common.domain.decide import Decision, Outcome, Reason, decide
from libs.common.domain.index import IndexedSubscriber, Profile
from libs.common.domain.messages import Event

Matched = Sequence[tuple[Profile, BitMap]]
"""Ordinals of active subscribers by profile; one may stand under several."""

_AT_ONCE = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True)
class Group:
    """The members of an audience that share everything but their name; `members` are ordinals, not to be changed."""

    outcome: Outcome
    reason: Reason
    channel: Channel | None = None
    due_at: datetime | None = None
    members: BitMap = field(default_factory=BitMap)


@dataclass(frozen=True)
class Choice:
    """The groups for an event, and the ids that it names and nobody has."""

    groups: tuple[Group, ...]
    unknown: tuple[str, ...] = ()


@dataclass(frozen=True)
class Audience:
    """A choice on record: who was chosen for an event, once and for all."""

    event_id: str
    tenant: str
    choice: Choice
    index_position: Mapping[str, int]
    origin: str
    """`topic/partition/offset` of the record first seen."""
    decided_at: datetime
    """In whole milliseconds, as the database keeps it."""
    fanned_out: bool = False


def choose_matched(event: Event, matched: Matched, now: datetime) -> Choice:
    """The choice for an event to everybody who wants it."""
    if not any(members for _, members in matched):
        return Choice((Group(Outcome.NO_MATCH, Reason.NOBODY_MATCHED),))
    return Choice(_group([(decide(event, profile, now), members) for profile, members in matched]))


def choose_addressed(event: Event, known: Mapping[str, IndexedSubscriber], now: datetime) -> Choice:
    """The choice for an event that names its recipients; `known` are those of them that exist, by id."""
    named = dict.fromkeys(event.data.recipients)
    by_profile: dict[Profile, BitMap] = defaultdict(BitMap)
    unsubscribed = BitMap()
    for subscriber in (known[name] for name in named if name in known):
        members = by_profile[subscriber.profile] if subscriber.active else unsubscribed
        members.add(subscriber.ordinal)
    decided = [(decide(event, profile, now), members) for profile, members in by_profile.items()]
    if unsubscribed:
        decided.append((Decision(Outcome.SUPPRESS, Reason.UNSUBSCRIBED), unsubscribed))
    return Choice(_group(decided), tuple(name for name in named if name not in known))


def _group(decided: Iterable[tuple[Decision, BitMap]]) -> tuple[Group, ...]:
    """One group per outcome, reason, channel and time.

    A subscriber matched under several profiles gets each of their channels once, by the earliest decision for that
    channel; an outcome without a channel counts only where there is no other.
    """
    per_channel: dict[Channel, list[tuple[Decision, BitMap]]] = defaultdict(list)
    leftover: list[tuple[Decision, BitMap]] = []
    for decision, members in decided:
        for channel in decision.channels:
            per_channel[channel].append((decision, members))
        if not decision.channels:
            leftover.append((decision, members))
    groups: list[Group] = []
    reached = BitMap()
    for channel in sorted(per_channel):
        reached |= _divide(groups, channel, per_channel[channel], BitMap())
    _divide(groups, None, leftover, reached)
    return tuple(groups)


def _divide(
    groups: list[Group], channel: Channel | None, decided: Iterable[tuple[Decision, BitMap]], taken: BitMap
) -> BitMap:
    """Gives every subscriber who is not `taken` to the first decision in order; returns all who are now."""
    taken = taken.copy()
    merged: dict[tuple[Outcome, Reason, datetime | None], BitMap] = {}
    for decision, members in sorted(decided, key=lambda pair: _precedence(pair[0])):
        if fresh := members - taken:
            taken |= fresh
            key = (decision.outcome, decision.reason, decision.due_at)
            merged[key] = merged[key] | fresh if key in merged else fresh
    groups.extend(
        Group(outcome, reason, channel, due_at, members) for (outcome, reason, due_at), members in merged.items()
    )
    return taken


def _precedence(decision: Decision) -> tuple[datetime, str, str]:
    """Earliest first; between equals any order will do, as long as it is always the same."""
    return (decision.due_at or _AT_ONCE, decision.outcome, decision.reason)
