"""Decides again about a hold that is released late: a window that was open when it was due may be closed by now, and
people may have other windows. Who was chosen, and on which channel, stays as it was. Pure."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta

import msgspec

from libs.common.domain.channels import Channel
from libs.common.domain.decide import choose_channels, first_chance, has_expired
from libs.common.domain.fan_out import Hold
from libs.common.domain.index import IndexedSubscriber, Profile
from libs.common.domain.keys import hold_id
from libs.common.domain.messages import Event
from libs.common.domain.pattern import Pattern, flatten, matches

_LATE = timedelta(minutes=1)
"""What comes this much after its time, as after every restart, goes out unasked: asking is a read for every hold."""


def is_late(hold: Hold, now: datetime) -> bool:
    """Whether somebody may be out of reach by now. What has expired is settled at once, wherever they are."""
    return now - hold.due_at > _LATE and not has_expired(hold.batch.event, now)


def divide(hold: Hold, people: Mapping[str, IndexedSubscriber], now: datetime) -> tuple[Hold | None, list[Hold]]:
    """What of a late hold goes out now, if anything, and what waits on, in a hold for each time. `people` are its
    subscribers as they are now; who is gone or wants nothing any more is left to the dispatcher, which settles it."""
    wishes = _Wishes(hold)
    waiting: dict[datetime, list[str]] = defaultdict(list)
    at_once: list[str] = []
    for name in hold.batch.subscribers:
        subscriber = people.get(name)
        at = now if subscriber is None or not subscriber.active else wishes.first_chance(subscriber, now)
        (at_once if at <= now else waiting[at]).append(name)
    due = _with(hold, hold.id, hold.due_at, at_once) if at_once else None
    return due, [_with(hold, _id(hold, at), at, names) for at, names in sorted(waiting.items())]


class _Wishes:
    """How people want one event on one channel. Many have equal filters: each is asked once."""

    def __init__(self, hold: Hold) -> None:
        self._hold = hold
        self._event: Event = hold.batch.event
        self._channel: Channel = hold.batch.channel
        self._fields = flatten(self._event.facts())
        self._matched: dict[Pattern, bool] = {}

    def first_chance(self, subscriber: IndexedSubscriber, now: datetime) -> datetime:
        """By the earliest of the subscriptions that want it, as when it was decided first. Where none does any more,
        or the event names the subscriber, by the default one."""
        profiles = [] if self._hold.addressed else self._wanting(subscriber)
        return min(first_chance(self._event, profile, now)[0] for profile in profiles or [subscriber.profile])

    def _wanting(self, subscriber: IndexedSubscriber) -> list[Profile]:
        return [
            one.profile
            for one in subscriber.subscriptions
            if self._channel in choose_channels(self._event, one.profile) and self._matches(one.pattern)
        ]

    def _matches(self, pattern: Pattern) -> bool:
        if pattern not in self._matched:
            self._matched[pattern] = matches(pattern, self._fields)
        return self._matched[pattern]


def _with(hold: Hold, name: str, due_at: datetime, subscribers: list[str]) -> Hold:
    batch = msgspec.structs.replace(hold.batch, subscribers=tuple(subscribers))
    return replace(hold, id=name, due_at=due_at, batch=batch)


def _id(hold: Hold, due_at: datetime) -> str:
    """Derived from the hold that it comes of: others of the event may wait for the same time."""
    return hold_id(hold.batch.event.eventid, hold.batch.channel, f"{due_at.isoformat()}/{hold.id}", hold.batch.chunk)
