"""The documents that MongoDB keeps: one class per collection, with its indexes and why they exist. These never leave
the adapters: the API has models of its own, the log has `domain/messages.py`."""

from datetime import datetime
from typing import Any, ClassVar

import pymongo
from beanie import Document
from pydantic import BaseModel, Field
from pymongo import IndexModel

from libs.common.domain.channels import Channel, Lane
from libs.common.domain.states import State


class _Stored(Document):
    """Ids are strings that we derive or choose; nothing is drawn by the driver."""

    id: str  # type: ignore[assignment]  # Beanie types it as an optional ObjectId; ours are always given

    class Settings:
        use_state_management = False


class StoredSubscription(BaseModel):
    """One named filter; `pattern` None matches every event. `preferences` is kept as given, for `GET /preferences`."""

    name: str
    pattern: dict[str, Any] | None = None
    channels: list[Channel] = Field(default_factory=list)
    windows: list[str] = Field(default_factory=list)
    preferences: dict[str, list[str]] | None = None


class PendingEvent(BaseModel):
    """An entry of the outbox: version `version` of this document is yet to be published."""

    version: int
    at: datetime


class PushToken(BaseModel):
    """One device."""

    endpoint: str
    token: str


class WebhookEndpoint(BaseModel):
    """One URL that wants events; `secrets` newest first, so that both verify while one is replaced."""

    endpoint: str
    url: str
    secrets: list[str]
    disabled_reason: str = ""


def subscriber_key(tenant: str, subscriber_id: str) -> str:
    """The `_id` of a subscriber. No key and no topic is made for a tenant with a colon in its name
    (`domain/tenants.py`); a record may say anything, so who acts on one looks at the fields too."""
    return f"{tenant}:{subscriber_id}"


class SubscriberDocument(_Stored):
    """Somebody who can receive. `_id` is `tenant:subscriber_id`. The truth about people: written here first, then
    published from `pending_events`, which is cleared by version."""

    tenant: str
    subscriber_id: str
    ordinal: int
    version: int = 1
    active: bool = True
    name: str = ""
    email: str = ""
    phone: str = ""
    push_tokens: list[PushToken] = Field(default_factory=list)
    webhooks: list[WebhookEndpoint] = Field(default_factory=list)
    locale: str = ""
    time_zone: str = "UTC"
    subscriptions: list[StoredSubscription] = Field(default_factory=list)
    pending_events: list[PendingEvent] = Field(default_factory=list)
    pending_since: datetime | None = None
    erased_at: datetime | None = None
    """Being erased: contact data is gone, the account and this document follow once the log has the tombstone."""
    created_at: datetime
    updated_at: datetime

    class Settings:
        name = "subscribers"
        indexes: ClassVar = [
            # An ordinal stands for a subscriber in every recorded audience: two must never share one.
            IndexModel([("tenant", 1), ("ordinal", 1)], unique=True),
            # The sweeper looks for what a crash left unpublished; few documents have the field.
            IndexModel([("pending_since", 1)], partialFilterExpression={"pending_since": {"$type": "date"}}),
            # `GET /stats` counts the active ones.
            IndexModel([("tenant", 1), ("active", 1)]),
        ]


class AccountDocument(_Stored):
    """How a person logs in. `_id` is `tenant:e-mail` in its canonical form. Apart from the subscriber, so that the
    router and the dispatcher can be denied the collection that holds credentials."""

    tenant: str
    email: str
    subscriber_id: str
    password_hash: str
    token_version: int = 1
    created_at: datetime

    class Settings:
        name = "accounts"
        indexes: ClassVar = [IndexModel([("tenant", 1), ("subscriber_id", 1)])]


class ApiKeyDocument(_Stored):
    """A service's credential. `_id` is the public key id; the secret half is kept as its SHA-256 only."""

    tenant: str
    name: str
    secret_hash: str
    scopes: list[str]
    created_at: datetime
    revoked_at: datetime | None = None

    class Settings:
        name = "api_keys"
        indexes: ClassVar = [IndexModel([("tenant", 1), ("created_at", -1)])]


class OrdinalDocument(_Stored):
    """The next free subscriber ordinal of a tenant (`_id`)."""

    next: int

    class Settings:
        name = "ordinals"


class ClaimDocument(_Stored):
    """What an idempotency key stands for. Promises nothing by itself: the append to the log does."""

    tenant: str
    fingerprint: str
    event_id: str
    notification_id: str = ""
    """Of a direct notification; what only such a one has is left out of the claims of events."""
    subscriber_id: str = ""
    channels: list[Channel] = Field(default_factory=list)
    template_version: int = 0
    created_at: datetime

    class Settings:
        name = "claims"
        indexes: ClassVar = [
            IndexModel([("tenant", 1), ("event_id", 1)]),
            # A direct notification is looked up here until the dispatcher has it; few claims have the field.
            IndexModel(
                [("notification_id", 1), ("tenant", 1)],
                partialFilterExpression={"notification_id": {"$type": "string"}},
            ),
            # Longer than the 14 days of the event topics, so that nothing on the log can be repeated unclaimed.
            IndexModel([("created_at", 1)], expireAfterSeconds=15 * 86_400),
        ]


class StoredGroup(BaseModel):
    """The members of an audience that share outcome, reason, channel and time; `members` is a serialized roaring bitmap
    of subscriber ordinals."""

    outcome: str
    reason: str
    channel: Channel | None = None
    due_at: datetime | None = None
    members: bytes
    count: int


class AudienceDocument(_Stored):
    """Who was chosen for an event (`_id`), recorded once before anything is published: neither a crash nor a preference
    changed in between can change it."""

    tenant: str
    groups: list[StoredGroup]
    unknown_recipients: list[str] = Field(default_factory=list)
    index_position: dict[str, int] = Field(default_factory=dict)
    origin: str
    """`topic/partition/offset` of the record first seen."""
    created_at: datetime
    fanned_out_at: datetime | None = None

    class Settings:
        name = "audiences"
        indexes: ClassVar = [IndexModel([("created_at", 1)], expireAfterSeconds=90 * 86_400)]


class StoredAttempt(BaseModel):
    """One call to a provider."""

    number: int
    at: datetime
    provider: str
    latency_ms: float
    answer: str
    """accepted, refused, not_now or unknown."""
    reason: str = ""
    next_at: datetime | None = None


class DeliveryDocument(_Stored):
    """One notification on one channel to one endpoint; `_id` is the delivery id, and inserting it is the claim."""

    tenant: str
    event_id: str
    notification_id: str
    subscriber_id: str
    channel: Channel
    endpoint: str
    generation: int = 0
    lane: Lane = Lane.STANDARD
    state: State
    reason: str = ""
    attempt: int = 0
    """The attempt under way or last made, from 1."""
    fence: int = 0
    """Raised by every claim; a write that carries an older one changes nothing."""
    owner: str = ""
    """Drawn for each group of claims: tells a claim of one's own, whose answer was lost, from somebody else's."""
    lease_until: datetime | None = None
    due_at: datetime | None = None
    attempts: list[StoredAttempt] = Field(default_factory=list)
    provider: str = ""
    provider_message_id: str = ""
    detail: str = ""
    """What a receipt or an operator said, in their words."""
    created_at: datetime
    updated_at: datetime

    class Settings:
        name = "deliveries"
        indexes: ClassVar = [
            # The notification first: a provider's receipt names it and knows of no tenant. No other index: each makes
            # every claim and every settlement dearer, by a fifth on the local database.
            IndexModel([("notification_id", 1), ("tenant", 1)]),
        ]


class FeedDocument(_Stored):
    """A notification in a person's in-app feed; `_id` is the notification id, so that it stands there once."""

    tenant: str
    subscriber_id: str
    event_id: str
    title: str
    content: str
    topic: str = ""
    priority: str = ""
    category: str = ""
    data: Any = None
    created_at: datetime
    read_at: datetime | None = None

    class Settings:
        name = "feed"
        indexes: ClassVar = [
            IndexModel(
                [
                    ("tenant", pymongo.ASCENDING),
                    ("subscriber_id", pymongo.ASCENDING),
                    ("created_at", pymongo.DESCENDING),
                    ("_id", pymongo.DESCENDING),
                ]
            )
        ]


class ScheduledDocument(_Stored):
    """A batch of deliveries that waits for its time; `_id` is `keys.hold_id(...)`. Claimed with a lease, deleted once
    it is on the log."""

    tenant: str
    event_id: str
    channel: Channel
    lane: Lane
    due_at: datetime
    batch: bytes
    """An encoded `messages.DeliveryBatch`."""
    weight: int = 0
    """Bytes of `batch`."""
    addressed: bool = False
    """Whether the event named its recipients."""
    size: int
    """How many subscribers are in it."""
    notification_ids: list[str] = Field(default_factory=list)
    """Of the subscribers in it, in their order: until a delivery is claimed nothing else knows a notification's id."""
    lease_until: datetime | None = None
    claim: str = ""
    """Whose lease it is: a token drawn for each claim."""
    created_at: datetime

    class Settings:
        name = "scheduled"
        indexes: ClassVar = [
            IndexModel([("due_at", 1)]),
            IndexModel([("tenant", 1), ("event_id", 1)]),
            # What is held is looked up and withdrawn by it. On the local database it makes the hold of a hundred people
            # 18 ms dearer, from insert to delete; to insert and settle their hundred deliveries takes some 250.
            IndexModel([("notification_ids", 1)]),
            # A release that failed gives back what it claimed; few documents are leased.
            IndexModel([("claim", 1)], partialFilterExpression={"lease_until": {"$type": "date"}}),
        ]


class TemplateVariant(BaseModel):
    """A template's words for one channel in one language; `locale` "default" is the last resort."""

    channel: Channel
    locale: str = "default"
    subject: str = ""
    text: str
    html: str = ""


class TemplateDocument(_Stored):
    """One version of a template; `_id` is `tenant:template_id:version`. A published version never changes; a draft
    changes from one `revision` to the next. A deleted template ends with a published version that says so."""

    tenant: str
    template_id: str
    version: int = 1
    revision: int = 1
    name: str = ""
    published: bool = False
    deleted: bool = False
    variants: list[TemplateVariant]
    created_at: datetime
    updated_at: datetime | None = None

    class Settings:
        name = "templates"
        indexes: ClassVar = [
            IndexModel([("tenant", 1), ("template_id", 1), ("version", -1)], unique=True),
        ]


class SuppressionDocument(_Stored):
    """An address that must not be written to any more. `_id` is the SHA-256 of tenant, channel and address
    (`consent.address_key`): it is recognised here, and cannot be read from here."""

    tenant: str
    channel: Channel
    reason: str
    at: datetime
    delivery_id: str = ""
    """The delivery that it came of; empty when somebody put it here by hand."""

    class Settings:
        name = "suppressions"
        indexes: ClassVar = [IndexModel([("tenant", 1), ("at", -1), ("_id", -1)])]


class RateBucketDocument(_Stored):
    """How often somebody called in one minute; `_id` names both. `expires_at` is when the minute is over."""

    used: int
    expires_at: datetime

    class Settings:
        name = "rate_buckets"
        indexes: ClassVar = [IndexModel([("expires_at", 1)], expireAfterSeconds=0)]


class LoginAttemptDocument(_Stored):
    """Log-ins that failed; `_id` is the SHA-256 of tenant, address and the network that they came from."""

    failures: int
    blocked_until: datetime
    expires_at: datetime

    class Settings:
        name = "login_attempts"
        indexes: ClassVar = [IndexModel([("expires_at", 1)], expireAfterSeconds=0)]


DOCUMENTS: tuple[type[_Stored], ...] = (
    SubscriberDocument,
    AccountDocument,
    ApiKeyDocument,
    OrdinalDocument,
    ClaimDocument,
    AudienceDocument,
    DeliveryDocument,
    FeedDocument,
    ScheduledDocument,
    TemplateDocument,
    SuppressionDocument,
    RateBucketDocument,
    LoginAttemptDocument,
)
