"""What the API needs from outside, as narrow ports; `app.py` fills them in. Every call raises `Unavailable` when the
answer is unknown."""

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol, runtime_checkable

from libs.common.caching import Cache
from libs.common.domain.accounts import Account
from libs.common.domain.api_keys import ApiKey, Scope
from libs.common.domain.channels import Channel
from libs.common.domain.claims import RequestClaim
from libs.common.domain.messages import Event
from libs.common.domain.notifications import Decided, Held, KeptDelivery
from libs.common.domain.shown import FeedItem, Progress
from libs.common.domain.states import State
from libs.common.domain.subscribers import Subscriber
from libs.common.domain.suppressions import Suppression
from libs.common.observability.probes import Check
from libs.common.ports import Log
from libs.common.templates.ports import TemplateStore


class SubscriberStore(Protocol):
    """The truth about people."""

    async def find(self, tenant: str, subscriber_id: str) -> Subscriber | None:
        """The subscriber, also one that is being erased."""
        ...

    async def insert(self, subscriber: Subscriber) -> bool:
        """Add a subscriber with its first change pending; False when there is one of this id."""
        ...

    async def replace(self, subscriber: Subscriber) -> bool:
        """Write a subscriber over its previous version, `version - 1`; False when that is not the one stored."""
        ...

    async def published(self, subscriber: Subscriber) -> bool:
        """The log has this version; False when it is not the one stored (any more)."""
        ...

    async def pending(self, before: datetime, limit: int) -> list[Subscriber]:
        """Subscribers whose last change is not known to be on the log, oldest first."""
        ...

    async def put_off(self, subscriber: Subscriber, until: datetime) -> None:
        """Let this version, if it is still the one stored, be pending from `until` on and not before."""
        ...

    async def delete_erased(self, tenant: str, subscriber_id: str) -> None:
        """Remove what is left of an erased subscriber; one that was not erased stays."""
        ...

    async def page(self, tenant: str, limit: int, after: str = "") -> list[Subscriber]:
        """Up to `limit` subscribers by id, from above `after` on; erased ones are left out."""
        ...

    async def count_active(self, tenant: str) -> int:
        """How many subscribers are active."""
        ...


class Ordinals(Protocol):
    """Dense numbers for subscribers."""

    async def take(self, tenant: str) -> int:
        """An ordinal that nobody else gets."""
        ...


class AccountStore(Protocol):
    """How people log in."""

    async def find(self, tenant: str, email: str) -> Account | None:
        """The account of a canonical e-mail address."""
        ...

    async def find_by_subscriber(self, tenant: str, subscriber_id: str) -> Account | None:
        """The account that belongs to a subscriber."""
        ...

    async def insert(self, account: Account) -> bool:
        """Add an account; False when the address has one."""
        ...

    async def rehash(self, account: Account, password_hash: str) -> None:
        """Store a hash with today's parameters, unless the password was changed meanwhile."""
        ...

    async def delete_by_subscriber(self, tenant: str, subscriber_id: str) -> None:
        """Remove the accounts of a subscriber."""
        ...


class ApiKeyStore(Protocol):
    """Services' credentials."""

    async def create(
        self, tenant: str, name: str, scopes: Iterable[Scope], now: datetime, *, key: str | None = None
    ) -> str:
        """Store a key and return it whole."""
        ...

    async def find(self, key_id: str) -> ApiKey | None:
        """The key of this id, also a revoked one."""
        ...

    async def find_all(self, tenant: str) -> list[ApiKey]:
        """The keys of a tenant, also revoked ones, the newest first."""
        ...

    async def revoke(self, tenant: str, key_id: str, now: datetime) -> bool:
        """End a key; False when the tenant has no such key in force."""
        ...


class ClaimStore(Protocol):
    """What idempotency keys stand for."""

    async def insert(self, claims: Sequence[RequestClaim]) -> dict[str, RequestClaim]:
        """Make all claims that are not made yet, in one round trip; those that were there before, by id."""
        ...

    async def find(self, claim_id: str) -> RequestClaim | None:
        """The claim of this id."""
        ...

    async def find_notification(self, tenant: str, notification_id: str) -> RequestClaim | None:
        """The claim made for this direct notification."""
        ...

    async def find_event(self, tenant: str, event_id: str) -> RequestClaim | None:
        """A claim made for this event."""
        ...


class FeedStore(Protocol):
    """People's feeds."""

    async def page(
        self, tenant: str, subscriber_id: str, limit: int, after: tuple[datetime, str] | None = None
    ) -> list[FeedItem]:
        """Up to `limit` items, newest first, from below `after` on."""
        ...

    async def delete_by_subscriber(self, tenant: str, subscriber_id: str) -> None:
        """Remove a subscriber's feed."""
        ...


class ProgressStore(Protocol):
    """How far events came."""

    async def find(self, tenant: str, event_id: str) -> Progress | None:
        """What the router concluded for an event of this tenant."""
        ...


class NotificationStore(Protocol):
    """Deliveries, looked up and moved on."""

    async def deliveries(self, notification_id: str, tenant: str | None = None) -> list[KeptDelivery]:
        """The deliveries of a notification; of any tenant's when none is named, which only a provider's receipt may
        ask."""
        ...

    async def delivery(self, tenant: str, delivery_id: str) -> KeptDelivery | None:
        """One delivery of a tenant."""
        ...

    async def move(
        self, delivery_id: str, state: State, sources: Collection[State], now: datetime, reason: str, detail: str
    ) -> KeptDelivery | None:
        """Bring a delivery that is in one of `sources` to `state`; as it is then, or None when it was in none."""
        ...

    async def insert(self, delivery: KeptDelivery) -> bool:
        """Put a delivery there that nobody has claimed, so that nobody will; False when it is there already."""
        ...

    async def decided(self, tenant: str, event_id: str, ordinal: int) -> list[Decided] | None:
        """What the router concluded for one subscriber; None when it has not come to the event yet."""
        ...

    async def held(self, tenant: str, notification_id: str) -> list[Held]:
        """What of a notification waits for its time, on each channel."""
        ...

    async def mark_read(self, tenant: str, notification_id: str, now: datetime) -> bool:
        """Note in the feed when it was first read; whether it is in a feed."""
        ...

    async def forget_holds(self, tenant: str, event_id: str, channels: Collection[Channel]) -> None:
        """Remove what waits for its time on these channels, for an event with one recipient, and is not being released
        now."""
        ...


@runtime_checkable  # a handler asks for it by this type, which the framework verifies
class SuppressionStore(Protocol):
    """Addresses that must not be written to any more."""

    async def add(
        self, tenant: str, channel: Channel, address: str, reason: str, now: datetime, delivery_id: str = ""
    ) -> None:
        """Suppress an address; one that is suppressed already keeps its first reason."""
        ...

    async def lift(self, tenant: str, channel: Channel, address: str) -> bool:
        """Allow an address again; False when it was not suppressed."""
        ...

    async def lift_key(self, tenant: str, key: str) -> bool:
        """The same by the suppression's id."""
        ...

    async def page(self, tenant: str, limit: int, after: tuple[datetime, str] | None = None) -> list[Suppression]:
        """Up to `limit` suppressions, newest first, from below `after` on."""
        ...


class EndpointStore(Protocol):
    """Devices and webhooks of people."""

    async def retire(
        self, tenant: str, subscriber_id: str, channel: Channel, endpoint: str, address: str, reason: str
    ) -> bool:
        """Remove a device, or disable a webhook, if it still has this address; whether it had."""
        ...


class EventSource(Protocol):
    """Events that were accepted before."""

    async def find(self, tenant: str, event_id: str) -> Event | None:
        """The event, if it is still on the log."""
        ...


Delay = Callable[[int], timedelta]
"""For how long nobody may try after so many attempts."""


class RateStore(Protocol):
    """Counts that all processes share."""

    async def take(self, bucket: str, amount: int, expires_at: datetime) -> int:
        """Take `amount` from a bucket; how much was taken from it in all, this included."""
        ...

    async def begin_attempt(self, attempt: str, now: datetime, expires_at: datetime, delay: Delay) -> datetime | None:
        """Count an attempt, and let nobody try for `delay` of as many; in one step, so that of many at once no more get
        through than one after the other. If it is blocked: until when."""
        ...

    async def forget_attempt(self, attempt: str) -> None:
        """There was no failure."""
        ...


@dataclass(frozen=True)
class Outside:
    """Everything that the API stands on; `checks` say whether each is there."""

    log: Log
    subscribers: SubscriberStore
    ordinals: Ordinals
    accounts: AccountStore
    api_keys: ApiKeyStore
    claims: ClaimStore
    feed: FeedStore
    progress: ProgressStore
    notifications: NotificationStore
    suppressions: SuppressionStore
    endpoints: EndpointStore
    templates: TemplateStore
    cache: Cache
    rates: RateStore
    logged: EventSource
    checks: dict[str, Check]
