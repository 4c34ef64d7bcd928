"""Subscribers in MongoDB. Each change is one update of one document that leaves a mark in its outbox
(`pending_events`); the mark is taken away once the log has that version. Decides nothing about people."""

import asyncio
import contextlib
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec
import structlog
from pymongo import ReturnDocument
from pymongo.errors import DuplicateKeyError

from libs.common.adapters.mongo.connect import collection_of, database_calls
from libs.common.adapters.mongo.documents import OrdinalDocument, SubscriberDocument, subscriber_key
from libs.common.domain.errors import Unavailable
from libs.common.domain.subscribers import Subscriber

_log = structlog.get_logger(__name__)

_ORDINALS_AT_ONCE = 100
"""One write in a hundred; those that a restart loses leave holes that cost a bitmap nothing."""


class MongoSubscribers:
    """Implements `ports.SubscriberStore`. Every call raises `Unavailable` when the answer is unknown."""

    async def find(self, tenant: str, subscriber_id: str) -> Subscriber | None:
        """The subscriber, also one that is being erased."""
        with database_calls():
            collection = collection_of(SubscriberDocument)
            found = await collection.find_one({"_id": subscriber_key(tenant, subscriber_id)})
        return _subscriber(found) if found else None

    async def insert(self, subscriber: Subscriber) -> bool:
        """Add a subscriber with its first change pending; False when there is one of this id."""
        document = {
            "_id": subscriber_key(subscriber.tenant, subscriber.subscriber_id),
            **_fields(subscriber),
            "tenant": subscriber.tenant,
            "subscriber_id": subscriber.subscriber_id,
            "ordinal": subscriber.ordinal,
            "created_at": subscriber.created_at,
            "pending_events": [_mark(subscriber)],
        }
        try:
            with database_calls():
                await collection_of(SubscriberDocument).insert_one(document)
        except DuplicateKeyError as error:
            if await self.find(subscriber.tenant, subscriber.subscriber_id) is None:
                # Another one has the ordinal: somebody reset the counter. The next ordinals are free again some day.
                raise Unavailable("MongoDB: ordinal taken") from error
            return False
        return True

    async def replace(self, subscriber: Subscriber) -> bool:
        """Write a subscriber over its previous version, `version - 1`; False when that is not the one stored."""
        with database_calls():
            changed = await collection_of(SubscriberDocument).update_one(
                {
                    "_id": subscriber_key(subscriber.tenant, subscriber.subscriber_id),
                    "version": subscriber.version - 1,
                },
                {"$set": _fields(subscriber), "$push": {"pending_events": _mark(subscriber)}},
            )
        return changed.matched_count == 1

    async def published(self, subscriber: Subscriber) -> bool:
        """The log has this version; False when it is not the one stored (any more): the marks are the later one's."""
        with database_calls():
            changed = await collection_of(SubscriberDocument).update_one(
                {
                    "_id": subscriber_key(subscriber.tenant, subscriber.subscriber_id),
                    "version": subscriber.version,
                },
                {"$set": {"pending_events": []}, "$unset": {"pending_since": ""}},
            )
        return changed.matched_count == 1

    async def put_off(self, subscriber: Subscriber, until: datetime) -> None:
        """Let this version, if it is still the one stored, be pending from `until` on and not before."""
        with database_calls():
            await collection_of(SubscriberDocument).update_one(
                {
                    "_id": subscriber_key(subscriber.tenant, subscriber.subscriber_id),
                    "version": subscriber.version,
                    "pending_since": {"$type": "date"},
                },
                {"$set": {"pending_since": until}},
            )

    async def pending(self, before: datetime, limit: int) -> list[Subscriber]:
        """Subscribers whose last change was made before `before` and is not known to be on the log, oldest first. Those
        that cannot be read are passed over, and take nobody's place."""
        readable: list[Subscriber] = []
        waiting = {"pending_since": {"$type": "date", "$lt": before}}
        with database_calls():
            found = collection_of(SubscriberDocument).find(waiting, batch_size=limit).sort("pending_since", 1)
            async with found:
                async for document in found:
                    try:
                        readable.append(_subscriber(document))
                    except msgspec.ValidationError as error:
                        _log.error("subscriber.unreadable", subscriber=document["_id"], error=str(error))
                    if len(readable) == limit:
                        break
        return readable

    async def delete_erased(self, tenant: str, subscriber_id: str) -> None:
        """Remove what is left of an erased subscriber; one that was not erased stays."""
        with database_calls():
            await collection_of(SubscriberDocument).delete_one(
                {"_id": subscriber_key(tenant, subscriber_id), "erased_at": {"$type": "date"}}
            )

    async def page(self, tenant: str, limit: int, after: str = "") -> list[Subscriber]:
        """Up to `limit` subscribers by id, from above `after` on; erased ones are left out."""
        # By `_id`, which begins with the tenant: `;` is what follows `:`.
        ids = {"$gt": subscriber_key(tenant, after), "$lt": f"{tenant};"}
        with database_calls():
            found = (
                collection_of(SubscriberDocument)
                .find({"_id": ids, "tenant": tenant, "erased_at": None})
                .sort("_id", 1)
                .limit(limit)
            )
            return [_subscriber(document) async for document in found]

    async def count_active(self, tenant: str) -> int:
        """How many subscribers are active."""
        with database_calls():
            return await collection_of(SubscriberDocument).count_documents({"tenant": tenant, "active": True})


class MongoOrdinals:
    """Gives out subscriber ordinals, dense per tenant, in blocks; implements `ports.Ordinals`."""

    def __init__(self) -> None:
        self._blocks: dict[str, range] = {}
        self._taking = asyncio.Lock()  # many who come at once share a block

    async def take(self, tenant: str) -> int:
        """An ordinal that nobody else gets. Raises `Unavailable`."""
        async with self._taking:
            block = self._blocks.get(tenant) or await _take_block(tenant)
            self._blocks[tenant] = block[1:]
            return block[0]


async def _take_block(tenant: str) -> range:
    """No upsert: of two that raced to make the counter, one was seen to get nothing."""
    counters = collection_of(OrdinalDocument)
    for _ in range(2):
        with database_calls():
            after = await counters.find_one_and_update(
                {"_id": tenant}, {"$inc": {"next": _ORDINALS_AT_ONCE}}, return_document=ReturnDocument.AFTER
            )
        if after is not None:
            return range(after["next"] - _ORDINALS_AT_ONCE, after["next"])
        with contextlib.suppress(DuplicateKeyError), database_calls():  # two made it at once: it is there now
            await counters.insert_one({"_id": tenant, "next": _ORDINALS_AT_ONCE})
            return range(_ORDINALS_AT_ONCE)
    raise Unavailable("MongoDB: no ordinals given out")


def _fields(subscriber: Subscriber) -> dict[str, Any]:
    builtins = msgspec.to_builtins(subscriber, builtin_types=(datetime,))
    kept = ("tenant", "subscriber_id", "ordinal", "created_at")
    fields = {name: value for name, value in builtins.items() if name not in kept}
    return {**fields, "pending_since": subscriber.updated_at}


def _mark(subscriber: Subscriber) -> dict[str, Any]:
    return {"version": subscriber.version, "at": subscriber.updated_at}


def _subscriber(document: Mapping[str, Any]) -> Subscriber:
    return msgspec.convert(document, Subscriber)
