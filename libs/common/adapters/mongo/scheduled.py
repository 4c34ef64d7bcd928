"""Keeps deliveries that wait for their time in MongoDB. Claims them in bulk with a lease, so that several routers share
the work and a crashed one's part comes back."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import bson
import msgspec

from libs.common.adapters.mongo.connect import collection_of, database_calls
from libs.common.adapters.mongo.documents import ScheduledDocument
from libs.common.adapters.mongo.inserting import insert_new
from libs.common.domain.deliveries import Lease
from libs.common.domain.fan_out import Claimed, Hold
from libs.common.domain.keys import notification_id
from libs.common.domain.messages import BatchEncoder, DeliveryBatch
from libs.common.domain.parts import parts

_BATCHES = msgspec.json.Decoder(DeliveryBatch)
_AT_ONCE = 200
"""Holds of one insert: 20,000 people, of whom each has an entry in an index; 1.1 s on the local database."""


class _Kept(msgspec.Struct):
    """What is needed of a document to release it."""

    id: str = msgspec.field(name="_id")
    due_at: datetime
    batch: bytes
    addressed: bool = False


class MongoHolds:
    """Implements `HoldStore` of the router. Needs an open database."""

    async def put(self, holds: Iterable[Hold], now: datetime) -> None:
        """Keep them, drawn part by part; one that is there already stays as it is."""
        encoder = BatchEncoder()
        documents = (_document(hold, encoder.encode(hold.batch), now) for hold in holds)
        for part in parts(documents, _AT_ONCE, lambda document: int(document["weight"])):
            await insert_new(ScheduledDocument, part)

    async def claim(self, lease: Lease, limit: int) -> Claimed:
        """Take up to `limit` that are due and nobody else holds, earliest first, and no more than fit into one append;
        nobody else gets them until the lease ends. Three round trips, whatever their number."""
        collection = collection_of(ScheduledDocument)
        free = {"due_at": {"$lte": lease.now}, "$or": [{"lease_until": None}, {"lease_until": {"$lte": lease.now}}]}
        with database_calls():
            found = await collection.find(free, {"weight": 1}).sort("due_at", 1).limit(limit).to_list()
            earliest = next(parts(found, limit, _weight), [])
            if not earliest:
                return Claimed()
            due = [document["_id"] for document in earliest]
            # Two may have found the same ones: whose update comes first has them, and the owner's token tells who.
            await collection.update_many(
                {"_id": {"$in": due}, **free}, {"$set": {"lease_until": lease.until, "claim": lease.owner}}
            )
            return _claimed([found async for found in collection.find({"_id": {"$in": due}, "claim": lease.owner})])

    async def give_back(self, owner: str) -> None:
        """End the lease of what this owner has claimed and not deleted: anybody may claim it now."""
        with database_calls():
            await collection_of(ScheduledDocument).update_many(
                {"claim": owner, "lease_until": {"$type": "date"}}, {"$set": {"lease_until": None, "claim": ""}}
            )

    async def delete(self, hold_ids: Collection[str]) -> None:
        """Forget them."""
        if hold_ids:
            with database_calls():
                await collection_of(ScheduledDocument).delete_many({"_id": {"$in": list(hold_ids)}})

    async def next_due(self) -> datetime | None:
        """When the earliest is due; None when nothing waits."""
        with database_calls():
            found = await collection_of(ScheduledDocument).find_one(
                {"due_at": {"$type": "date"}}, {"due_at": 1}, sort=[("due_at", 1)]
            )
        return found["due_at"] if found is not None else None


def _document(hold: Hold, value: bytes, now: datetime) -> dict[str, Any]:
    batch = hold.batch
    return {
        "_id": hold.id,
        "tenant": batch.event.tenant,
        "event_id": batch.event.eventid,
        "channel": batch.channel,
        "lane": batch.event.lane,
        "due_at": hold.due_at,
        "batch": value,
        "weight": len(value),
        "addressed": hold.addressed,
        "size": len(batch.subscribers),
        "notification_ids": [notification_id(batch.event.eventid, name) for name in batch.subscribers],
        "lease_until": None,
        "claim": "",
        "created_at": now,
    }


def _weight(document: Mapping[str, Any]) -> int:
    weight = document.get("weight")
    return weight if isinstance(weight, int) else 0


def _claimed(documents: Sequence[dict[str, Any]]) -> Claimed:
    holds: list[Hold] = []
    unreadable: dict[str, bytes] = {}
    for document in sorted(documents, key=lambda found: found["due_at"]):
        try:
            kept = msgspec.convert(document, _Kept)
            holds.append(Hold(kept.id, kept.due_at, _BATCHES.decode(kept.batch), kept.addressed))
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            batch = document.get("batch")
            unreadable[document["_id"]] = batch if isinstance(batch, bytes) else bson.encode(document)
    return Claimed(tuple(holds), unreadable)
