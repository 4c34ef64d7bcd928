"""Deliveries in MongoDB as the API reads them and moves them on: receipts, reading, cancelling. Every move carries the
states that it may come from in its filter, so that whoever is late changes nothing."""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any

import msgspec
from pymongo import ReturnDocument
from pymongo.errors import DuplicateKeyError
from pyroaring import BitMap

from libs.common.adapters.mongo.connect import collection_of, database_calls
from libs.common.adapters.mongo.documents import (
    AudienceDocument,
    DeliveryDocument,
    FeedDocument,
    ScheduledDocument,
)
from libs.common.domain.channels import Channel
from libs.common.domain.notifications import Decided, Held, KeptDelivery
from libs.common.domain.states import State

_MOST = 200
"""Deliveries of one notification that are looked at: five channels, up to 50 devices, a few generations."""


class MongoNotifications:
    """Implements `ports.NotificationStore`. Every call raises `Unavailable` when the answer is unknown."""

    async def deliveries(self, notification_id: str, tenant: str | None = None) -> list[KeptDelivery]:
        """The deliveries of a notification; of any tenant's when none is named, which only a provider's receipt may
        ask."""
        query = {"notification_id": notification_id} | ({} if tenant is None else {"tenant": tenant})
        with database_calls():
            found = collection_of(DeliveryDocument).find(query).limit(_MOST)
            return [_delivery(document) async for document in found]

    async def delivery(self, tenant: str, delivery_id: str) -> KeptDelivery | None:
        """One delivery of a tenant."""
        with database_calls():
            found = await collection_of(DeliveryDocument).find_one({"_id": delivery_id, "tenant": tenant})
        return _delivery(found) if found else None

    async def move(
        self, delivery_id: str, state: State, sources: Collection[State], now: datetime, reason: str, detail: str
    ) -> KeptDelivery | None:
        """Bring a delivery that is in one of `sources` to `state`; as it is then, or None when it was in none."""
        change = {"state": state.value, "reason": reason, "lease_until": None, "due_at": None, "updated_at": now}
        if detail:
            change["detail"] = detail
        with database_calls():
            found = await collection_of(DeliveryDocument).find_one_and_update(
                {"_id": delivery_id, "state": {"$in": sorted(sources)}},
                {"$set": change},
                return_document=ReturnDocument.AFTER,
            )
        return _delivery(found) if found else None

    async def insert(self, delivery: KeptDelivery) -> bool:
        """Put a delivery there that nobody has claimed, so that nobody will; False when it is there already."""
        fields = msgspec.to_builtins(delivery, builtin_types=(datetime,))
        document = {"_id": fields.pop("id"), **fields, "fence": 0, "owner": "", "lease_until": None}
        try:
            with database_calls():
                await collection_of(DeliveryDocument).insert_one(document)
        except DuplicateKeyError:
            return False
        return True

    async def decided(self, tenant: str, event_id: str, ordinal: int) -> list[Decided] | None:
        """What the router concluded for one subscriber; None when it has not come to the event yet."""
        with database_calls():
            found = await collection_of(AudienceDocument).find_one({"_id": event_id, "tenant": tenant})
        if found is None:
            return None
        mine = (group for group in found["groups"] if ordinal in BitMap.deserialize(group["members"]))
        return [msgspec.convert(group, Decided, strict=False) for group in mine]

    async def origin(self, tenant: str, event_id: str) -> str | None:
        """`topic/partition/offset` of the record in which the router first saw an event."""
        with database_calls():
            found = await collection_of(AudienceDocument).find_one({"_id": event_id, "tenant": tenant}, {"origin": 1})
        return found["origin"] if found else None

    async def held(self, tenant: str, notification_id: str) -> list[Held]:
        """What of a notification waits for its time, on each channel."""
        with database_calls():
            found = collection_of(ScheduledDocument).find({"notification_ids": notification_id, "tenant": tenant})
            return [held async for document in found if (held := _held(document, notification_id)) is not None]

    async def mark_read(self, tenant: str, notification_id: str, now: datetime) -> bool:
        """Note in the feed when it was first read; whether it is in a feed."""
        entry = {"_id": notification_id, "tenant": tenant}
        feed = collection_of(FeedDocument)
        with database_calls():
            marked = await feed.update_one({**entry, "read_at": None}, {"$set": {"read_at": now}})
            return marked.matched_count == 1 or await feed.find_one(entry, {"_id": 1}) is not None

    async def forget_holds(self, tenant: str, event_id: str, channels: Collection[Channel]) -> None:
        """Remove what waits for its time on these channels, for an event with one recipient, and is not being released
        now."""
        query = {"tenant": tenant, "event_id": event_id, "channel": {"$in": sorted(channels)}}
        with database_calls():
            await collection_of(ScheduledDocument).delete_many({**query, "size": 1, "lease_until": None})


class _Members(msgspec.Struct):
    """What is read of a batch: its event may be large."""

    subscribers: tuple[str, ...]


_MEMBERS = msgspec.json.Decoder(_Members)


def _held(document: Mapping[str, Any], notification_id: str) -> Held | None:
    """None for one whose batch cannot be read: it will be a dead letter once it is due."""
    try:
        subscribers = _MEMBERS.decode(document["batch"]).subscribers
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None
    return Held(
        tenant=document["tenant"],
        event_id=document["event_id"],
        notification_id=notification_id,
        subscriber_id=subscribers[document["notification_ids"].index(notification_id)],
        channel=Channel(document["channel"]),
        due_at=document["due_at"],
        created_at=document["created_at"],
    )


def _delivery(document: Mapping[str, Any]) -> KeptDelivery:
    return msgspec.convert({**document, "id": document["_id"]}, KeptDelivery)
