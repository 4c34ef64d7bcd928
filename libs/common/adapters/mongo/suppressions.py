"""Suppressed addresses in MongoDB, as hashes. Sees plain addresses and keeps none."""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any

import msgspec
from pymongo.errors import DuplicateKeyError

from libs.common.adapters.mongo.connect import collection_of, database_calls
from libs.common.adapters.mongo.documents import SuppressionDocument
from libs.common.domain.channels import Channel
from libs.common.domain.suppressions import Reason, Suppression, address_key, reason_of

Position = tuple[datetime, str]
"""When a suppression was made, and its id: where a page ended."""


class MongoSuppressions:
    """The suppressed addresses of all tenants. Every call raises `Unavailable` when the answer is unknown."""

    async def add(
        self, tenant: str, channel: Channel, address: str, reason: str, now: datetime, delivery_id: str = ""
    ) -> None:
        """Suppress an address; one that is suppressed already keeps its first reason. Raises ValueError for a `reason`
        that `reason_of` does not know."""
        document = {
            "_id": address_key(tenant, channel, address),
            "tenant": tenant,
            "channel": channel,
            "reason": reason_of(reason),
            "at": now,
            "delivery_id": delivery_id,
        }
        try:
            with database_calls():
                await collection_of(SuppressionDocument).insert_one(document)
        except DuplicateKeyError:
            return

    async def lift(self, tenant: str, channel: Channel, address: str) -> bool:
        """Allow an address again; False when it was not suppressed."""
        return await self.lift_key(tenant, address_key(tenant, channel, address))

    async def lift_key(self, tenant: str, key: str) -> bool:
        """The same by the suppression's id."""
        with database_calls():
            deleted = await collection_of(SuppressionDocument).delete_one({"_id": key, "tenant": tenant})
        return deleted.deleted_count == 1

    async def page(self, tenant: str, limit: int, after: Position | None = None) -> list[Suppression]:
        """Up to `limit` suppressions, newest first, from below `after` on."""
        query: dict[str, Any] = {"tenant": tenant}
        if after is not None:
            at, key = after
            query["$or"] = [{"at": {"$lt": at}}, {"at": at, "_id": {"$lt": key}}]
        with database_calls():
            found = collection_of(SuppressionDocument).find(query).sort([("at", -1), ("_id", -1)]).limit(limit)
            return [_suppression(document) async for document in found]

    async def find_many(self, keys: Collection[str]) -> Mapping[str, Reason]:
        """Why addresses are suppressed, by their keys; those that are not are left out."""
        if not keys:
            return {}
        with database_calls():
            found = collection_of(SuppressionDocument).find({"_id": {"$in": list(keys)}}, {"reason": 1})
            return {document["_id"]: Reason(document["reason"]) async for document in found}


def _suppression(document: Mapping[str, Any]) -> Suppression:
    return msgspec.convert({**document, "id": document["_id"]}, Suppression)
