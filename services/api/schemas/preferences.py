"""Preferences and named filters as they come in and go out. Preferences are another way to write the filter of the
subscription `default`."""

from collections.abc import Mapping
from typing import Any

import msgspec
from pydantic import Field, field_validator, model_validator

from libs.common.domain.channels import DEFAULT_CHANNELS, Channel
from libs.common.domain.errors import Flaw, InvalidInput
from libs.common.domain.json_values import unstorable
from libs.common.domain.pattern import InvalidPattern, parse, pattern_of_preferences
from libs.common.domain.subscribers import DEFAULT_SUBSCRIPTION, Subscriber, Subscription
from services.api.schemas.fields import Body, Channels, TimeZone, Windows, Words

_PLURALS = {"topics": "topic", "priorities": "priority", "categories": "category", "release_times": "release_time"}
_LISTS = ("topic", "priority", "category", "release_time")


class Preferences(Body):
    """What a person wants. A list that is empty or left out does not restrict; `release_time` are delivery windows in
    the person's time zone. The plural spellings (`topics`, `priorities`, `categories`) are accepted too."""

    topic: Words = Field((), description="Topics; `sports` covers `sports/football`.", examples=[["tech"]])
    priority: Words = Field((), description="Priorities.", examples=[["high"]])
    category: Words = Field((), description="Categories.", examples=[["update"]])
    release_time: Windows = Field((), description="Delivery windows.")
    time_zone: TimeZone | None = Field(None, description="Left out: stays as it is, at first UTC.")
    channels: Channels | None = Field(None, description="Left out: stay as they are, at first EMAIL and INAPP.")

    @model_validator(mode="before")
    @classmethod
    def _read_both_spellings(cls, given: Any) -> Any:
        if not isinstance(given, Mapping):
            return given
        read: dict[Any, Any] = {}
        for name, value in given.items():
            singular = _PLURALS.get(name, name) if isinstance(name, str) else name
            if singular in read and singular in _LISTS:
                raise ValueError(f"{singular} is given in both spellings")
            # One word is a list of one; null is an empty list.
            one = singular in _LISTS and isinstance(value, str)
            read[singular] = [value] if one else () if value is None and singular in _LISTS else value
        return read

    def apply(self, subscriber: Subscriber) -> Subscriber:
        """The subscriber with these preferences in place of those before."""
        before = subscriber.subscription(DEFAULT_SUBSCRIPTION)
        lists = {name: list(dict.fromkeys(getattr(self, name))) for name in _LISTS}
        channels = self.channels or (before.channels if before else ()) or DEFAULT_CHANNELS
        wanted = Subscription(
            name=DEFAULT_SUBSCRIPTION,
            pattern=pattern_of_preferences(lists["topic"], lists["priority"], lists["category"]),
            channels=tuple(dict.fromkeys(channels)),
            windows=tuple(lists["release_time"]),
            preferences=lists,
        )
        changed = subscriber.with_subscription(wanted)
        return msgspec.structs.replace(changed, time_zone=self.time_zone) if self.time_zone else changed


class StoredPreferences(msgspec.Struct, frozen=True):
    """Preferences as they are."""

    topic: list[str]
    priority: list[str]
    category: list[str]
    release_time: list[str]
    time_zone: str
    channels: list[Channel]
    subscribed: bool

    @classmethod
    def of(cls, subscriber: Subscriber | None) -> "StoredPreferences":
        """The preferences of a subscriber; whoever set the filter itself has none to show."""
        found = subscriber.subscription(DEFAULT_SUBSCRIPTION) if subscriber else None
        lists = (found.preferences if found else None) or {}
        return cls(
            **{name: lists.get(name, []) for name in _LISTS},
            time_zone=subscriber.time_zone if subscriber else "UTC",
            channels=list(found.channels if found else DEFAULT_CHANNELS),
            subscribed=subscriber is not None and subscriber.active and bool(subscriber.subscriptions),
        )


class Wanted(Body):
    """One named filter: which events, on which channels, and when. `filter` null or left out: every event."""

    filter: dict[str, Any] | None = Field(
        None, description="A pattern in the filter language.", examples=[{"topic": ["sports", {"prefix": "sports/"}]}]
    )
    channels: Channels = Field(DEFAULT_CHANNELS, min_length=1, description="Where to deliver.")
    windows: Windows = Field((), description="Delivery windows.")

    @field_validator("channels")
    @classmethod
    def _each_once(cls, value: tuple[Channel, ...]) -> tuple[Channel, ...]:
        return tuple(dict.fromkeys(value))

    def named(self, name: str, prefix: str = "") -> Subscription:
        """The subscription that this body means. Raises InvalidInput for a pattern that breaks a rule, by place."""
        if self.filter is not None:
            check_filter(self.filter, f"{prefix}filter")
        return Subscription(name=name, pattern=self.filter, channels=self.channels, windows=self.windows)


class NamedSubscription(msgspec.Struct, frozen=True):
    """A named filter as it is stored."""

    name: str
    filter: dict[str, Any] | None
    channels: list[Channel]
    windows: list[str]

    @classmethod
    def of(cls, found: Subscription) -> "NamedSubscription":
        """What is shown of a subscription."""
        return cls(found.name, found.pattern, list(found.channels), list(found.windows))


class SubscriptionPage(msgspec.Struct, frozen=True):
    """All subscriptions of a subscriber: there are never so many that they need pages."""

    items: list[NamedSubscription]
    next_cursor: str | None = None


def check_filter(pattern: dict[str, Any], pointer: str) -> None:
    """Raises InvalidInput when the pattern breaks a rule of the filter language, or cannot be stored."""
    if flaws := unstorable(pattern, pointer, operators=True):
        raise InvalidInput(*flaws)
    try:
        parse(pattern)
    except InvalidPattern as error:
        raise InvalidInput(Flaw(f"{pointer}.{error.path}" if error.path else pointer, error.reason)) from None
