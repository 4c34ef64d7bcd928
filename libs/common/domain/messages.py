"""The values on the log. Every type says who writes it and who reads it; none carries an address.

Events and status changes are CloudEvents 1.0 in structured JSON (https://github.com/cloudevents/spec), so that any
consumer can read them; what is Sigmora's own stands in `data` or in extension attributes.
"""

from datetime import datetime
from typing import Annotated, Any

import msgspec

from libs.common.domain.channels import Channel, Lane

Count = Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)]
"""Attempts, generations, chunks. What is larger cannot be stored: it must be poison, not a defect."""
Ordinal = Annotated[int, msgspec.Meta(ge=0, le=2**32 - 1)]
"""Fits a bitmap."""
Version = Annotated[int, msgspec.Meta(ge=0, le=2**53 - 1)]
"""Larger ones would shut out every later change of their subscriber."""


class Content(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What an event says, and to whom when that is said outright."""

    title: str = ""
    content: str = ""
    data: Any = None
    """What upstream sent along; filters can look into it."""
    recipients: tuple[str, ...] = ()
    """Subscriber ids: a direct notification, which no filter decides. Empty: everybody who matches."""
    channels: tuple[Channel, ...] = ()
    """Only these channels. Empty: those that each subscriber chose."""
    template_id: str = ""
    """A stored template to render for each recipient; empty: title and content are the message."""
    template_version: int = 0
    """The version of it, for every attempt; 0: the one that is current when it is rendered."""
    variables: dict[str, Any] = {}
    """Values for the template."""


class Event(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A fact that an upstream service emitted. Written by the API (or read from `ingest.*`), read by the router.

    Extension attributes are lower case without underscores, as CloudEvents demands.
    """

    specversion: str = "1.0"
    id: str
    source: str
    type: str = "sigmora.event"
    time: datetime
    subject: str = ""
    datacontenttype: str = "application/json"
    tenant: str
    eventid: str
    """`keys.event_id(tenant, source, id)`."""
    lane: Lane = Lane.STANDARD
    topic: str = ""
    priority: str = ""
    category: str = ""
    releasetime: datetime | None = None
    """Not before this time."""
    expiresat: datetime | None = None
    """Of no use after this time."""
    traceparent: str = ""
    attributes: dict[str, str | int | bool] = {}
    """Other extension attributes of the CloudEvent that upstream sent; filters can look at them by name."""
    data: Content = Content()

    def facts(self) -> dict[str, object]:
        """What filters see: the event's own words, not Sigmora's plumbing."""
        facts: dict[str, object] = {
            **self.attributes,
            "id": self.id,
            "source": self.source,
            "type": self.type,
            "lane": str(self.lane),
            "title": self.data.title,
            "content": self.data.content,
        }
        optional = {"subject": self.subject, "topic": self.topic, "priority": self.priority, "category": self.category}
        facts.update({name: value for name, value in optional.items() if value})
        if self.data.data is not None:
            facts["data"] = self.data.data
        return facts


class WantedSubscription(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One named filter of a subscriber. `pattern` None matches every event."""

    name: str
    pattern: dict[str, Any] | None = None
    channels: tuple[Channel, ...] = ()
    windows: tuple[str, ...] = ()


class SubscriberChanged(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A subscriber's wishes, whole. Written by the API's outbox to `subscriptions` (compacted; key `tenant:subscriber`,
    tombstone on erase, whose header `version` has the last one), read by every router. A version older than the one a
    reader has is ignored."""

    tenant: str
    subscriber_id: str
    ordinal: Ordinal
    version: Version
    active: bool
    time_zone: str = "UTC"
    subscriptions: tuple[WantedSubscription, ...] = ()


class DeliveryBatch(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One event for up to 100 subscribers on one channel. Written by the router to `deliveries.<channel>.<lane>`,
    read by the dispatcher."""

    event: Event
    channel: Channel
    subscribers: tuple[str, ...]
    chunk: Count = 0
    generation: Count = 0


class BatchEncoder:
    """Encodes batches. An event that several in a row share is encoded once: of 200 kB it is nearly all of the work."""

    def __init__(self) -> None:
        self._event: Event | None = None
        self._encoded = msgspec.Raw()

    def encode(self, batch: DeliveryBatch) -> bytes:
        """The batch as it is written."""
        if batch.event is not self._event:
            self._event, self._encoded = batch.event, msgspec.Raw(msgspec.json.encode(batch.event))
        return msgspec.json.encode(msgspec.structs.replace(batch, event=self._encoded))


class RetryDelivery(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One delivery on its way to another attempt. Written and read by the dispatcher
    (`deliveries.<channel>.retry.<n>`); the same value in `deliveries.<channel>.dead` once the retries are used up."""

    event: Event
    channel: Channel
    delivery_id: str
    subscriber_id: str
    endpoint: str
    attempt: Count
    """The attempt to make next, from 2; in the dead topic: the attempts made."""
    due_at: datetime
    first_at: datetime
    reason: str = ""
    """Why the last attempt failed: a reason code."""
    generation: Count = 0


class DecisionChunk(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the router concluded for up to 1,000 subscribers. Written by the router to `decisions`; read by whoever
    wants to know why."""

    event_id: str
    tenant: str
    outcome: str
    reason: str
    channel: str = ""
    due_at: datetime | None = None
    subscribers: tuple[str, ...] = ()
    chunk: int = 0
    decided_at: datetime
    index_position: dict[str, int] = {}


class StateChange(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The payload of a status event."""

    delivery_id: str
    notification_id: str
    event_id: str
    subscriber_id: str
    channel: Channel
    state: str
    attempt: int = 0
    reason: str = ""
    provider: str = ""
    provider_message_id: str = ""


class StatusChanged(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A delivery changed its state. Written by the dispatcher (and the API, for receipts) to `status`; read by
    upstream's consumers and the live feed. `id` is `<delivery id>:<state>:<attempt>`: repeated on redelivery."""

    specversion: str = "1.0"
    id: str
    source: str = "/sigmora/dispatcher"
    type: str
    time: datetime
    subject: str
    datacontenttype: str = "application/json"
    tenant: str
    data: StateChange
