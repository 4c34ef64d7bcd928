"""Subscribers as the rules see them, and what the log is told of them. Knows no database: stores hand these out."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from libs.common.domain.channels import Channel
from libs.common.domain.errors import Flaw, InvalidInput, Poison
from libs.common.domain.json_values import MAX_FLAWS
from libs.common.domain.messages import SubscriberChanged, Version, WantedSubscription
from libs.common.domain.pattern.parsing import MAX_PATTERN_BYTES

DEFAULT_SUBSCRIPTION = "default"
"""The subscription that the preferences of a person are kept in."""
MAX_SUBSCRIPTIONS = 100
"""Of one subscriber; each is a filter in every router's memory."""
MAX_WISHES_BYTES = 512 * 1024
"""All filters of one subscriber together, as the log has them: half of what a record may hold."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_VERSION = "version"


class Subscription(msgspec.Struct, frozen=True, kw_only=True):
    """One named filter; `preferences` as they were given, for whoever set the filter by them."""

    name: str
    pattern: dict[str, Any] | None = None
    channels: tuple[Channel, ...] = ()
    windows: tuple[str, ...] = ()
    preferences: dict[str, list[str]] | None = None


class Device(msgspec.Struct, frozen=True, kw_only=True):
    """Where a push notification goes; `endpoint` is its name, which stays when the token changes."""

    endpoint: str
    token: str


class Webhook(msgspec.Struct, frozen=True, kw_only=True):
    """A URL that wants notifications, signed with `secrets`, the newest first: both verify while one is replaced."""

    endpoint: str
    url: str
    secrets: tuple[str, ...]
    disabled_reason: str = ""


class Subscriber(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody who can receive. Every change makes the next `version`, from `first_version` on."""

    tenant: str
    subscriber_id: str
    ordinal: int
    version: int = 1
    active: bool = True
    name: str = ""
    email: str = ""
    phone: str = ""
    push_tokens: tuple[Device, ...] = ()
    webhooks: tuple[Webhook, ...] = ()
    locale: str = ""
    time_zone: str = "UTC"
    subscriptions: tuple[Subscription, ...] = ()
    created_at: datetime
    updated_at: datetime
    erased_at: datetime | None = None
    """Being erased: the contact data is gone already, the log's tombstone may be yet to come."""

    def subscription(self, name: str) -> Subscription | None:
        """The subscription called `name`, if there is one."""
        return next((found for found in self.subscriptions if found.name == name), None)

    def with_subscription(self, wanted: Subscription) -> "Subscriber":
        """The same subscriber with this subscription in place of the one of its name, or after the others."""
        if self.subscription(wanted.name) is None:
            return msgspec.structs.replace(self, subscriptions=(*self.subscriptions, wanted))
        replaced = tuple(wanted if found.name == wanted.name else found for found in self.subscriptions)
        return msgspec.structs.replace(self, subscriptions=replaced)

    def without_subscription(self, name: str) -> "Subscriber":
        """The same subscriber without the subscription called `name`."""
        kept = tuple(found for found in self.subscriptions if found.name != name)
        return msgspec.structs.replace(self, subscriptions=kept)

    def without_person(self, now: datetime) -> "Subscriber":
        """What is left while the subscriber is being erased: nothing that names or reaches anybody."""
        return Subscriber(
            tenant=self.tenant,
            subscriber_id=self.subscriber_id,
            ordinal=self.ordinal,
            version=self.version,
            active=False,
            created_at=self.created_at,
            updated_at=now,
            erased_at=now,
        )


def first_version(now: datetime, ended: int = 0) -> int:
    """The version that a subscriber made `now` starts with: later than any that an erased one of this id came to, which
    `ended` with this version where that is known. Milliseconds, since nobody is changed a thousand times a second; from
    1 on, whoever was erased and came back would be older than what routers remember, and would not be heard."""
    return max((now - _EPOCH) // timedelta(milliseconds=1), ended + 1)


def check_wishes(subscriber: Subscriber) -> None:
    """Raises InvalidInput for wishes that could be stored, but never reach a router: the log would not take them, or no
    router would read them."""
    encode = msgspec.json.encode
    large = [found.name for found in subscriber.subscriptions if len(encode(found.pattern)) > MAX_PATTERN_BYTES]
    if large:
        said = f"means a filter of more than {MAX_PATTERN_BYTES} bytes"
        raise InvalidInput(*(Flaw(_pointer(name), said) for name in large[:MAX_FLAWS]))
    if len(encode(announcement(subscriber))) > MAX_WISHES_BYTES:
        raise InvalidInput(Flaw("subscriptions", f"have more than {MAX_WISHES_BYTES} bytes together"))


def _pointer(name: str) -> str:
    return "preferences" if name == DEFAULT_SUBSCRIPTION else f"subscriptions.{name}"


def tombstone_headers(version: int) -> tuple[tuple[str, bytes], ...]:
    """What a tombstone says: up to which version it ends a subscriber, who may have come back since."""
    return ((_VERSION, str(version).encode()),)


def ended_version(headers: Iterable[tuple[str, bytes | None]]) -> int | None:
    """The version in a tombstone's headers; None where there is none. Raises `Poison` for what is no version."""
    said = next((value for name, value in headers if name == _VERSION), None)
    if said is None:
        return None
    try:
        return msgspec.convert(int(said), Version)
    except ValueError as error:  # msgspec's is one too
        raise Poison("a tombstone whose version is none") from error


def log_key(tenant: str, subscriber_id: str) -> bytes:
    """The key under which the log keeps the last word on a subscriber."""
    return f"{tenant}:{subscriber_id}".encode()


def announcement(subscriber: Subscriber) -> SubscriberChanged:
    """What routers are told: wishes and no address. A subscription without channels wants none of its own."""
    return SubscriberChanged(
        tenant=subscriber.tenant,
        subscriber_id=subscriber.subscriber_id,
        ordinal=subscriber.ordinal,
        version=subscriber.version,
        active=subscriber.active,
        time_zone=subscriber.time_zone,
        subscriptions=tuple(
            WantedSubscription(
                name=wanted.name, pattern=wanted.pattern, channels=wanted.channels, windows=wanted.windows
            )
            for wanted in subscriber.subscriptions
        ),
    )
