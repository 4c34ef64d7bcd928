"""What the index holds: subscribers, their subscriptions, and how a matched subscription wants delivery."""

import msgspec
from pyroaring import BitMap

from libs.common.domain.pattern import Fields, Pattern


class Profile(msgspec.Struct, frozen=True):
    """How a matched subscription wants delivery. Equal profiles collapse, so nothing personal belongs here."""

    channels: tuple[str, ...]
    """Such as ("EMAIL", "INAPP")."""
    windows: tuple[str, ...] = ()
    """Such as ("08:00-20:00",); empty: at any time."""
    time_zone: str = "UTC"


class Subscription(msgspec.Struct, frozen=True):
    """One named filter of a subscriber. The pattern is parsed already; `EVERYTHING` stands for no filter."""

    name: str
    pattern: Pattern
    profile: Profile


class IndexedSubscriber(msgspec.Struct, frozen=True):
    """Somebody who can receive."""

    id: str
    ordinal: int
    """A uint32, dense per tenant, never given to another."""
    version: int
    active: bool
    subscriptions: tuple[Subscription, ...]
    profile: Profile
    """For notifications that name the subscriber, where no subscription matched."""


class Counts(msgspec.Struct, frozen=True):
    """The size of the index, over all tenants."""

    subscribers: int
    """Held, active or not."""
    subscriptions: int
    """Of active subscribers."""
    filters: int
    """Distinct pairs of filter and profile: what a match really works on."""


class Gathered(msgspec.Struct, frozen=True, eq=False):
    """How far look-ups alone bring an event: the branches that it may pass, by number, and those of them that must be
    verified value by value."""

    fields: Fields
    passed: BitMap
    unsure: BitMap

    @property
    def checks(self) -> int:
        """At most so many values are compared to verify it, half a microsecond each."""
        return len(self.unsure) and len(self.unsure) * sum(map(len, self.fields.leaves.values()))
