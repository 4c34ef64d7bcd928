"""Reads people's feeds and events' progress from MongoDB, and removes the feeds of those who are erased. Writes no
entry: dispatcher and router do."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec

from libs.common.adapters.mongo.connect import collection_of, database_calls
from libs.common.adapters.mongo.documents import AudienceDocument, FeedDocument
from libs.common.domain.shown import FeedItem, Progress

Position = tuple[datetime, str]
"""When an item was made, and its id: the order of a feed, and where a page of it ended."""


class MongoFeedPages:
    """Implements `ports.FeedStore`. Raises `Unavailable` when the answer is unknown."""

    async def page(self, tenant: str, subscriber_id: str, limit: int, after: Position | None = None) -> list[FeedItem]:
        """Up to `limit` items, newest first, from below `after` on."""
        query: dict[str, Any] = {"tenant": tenant, "subscriber_id": subscriber_id}
        if after is not None:
            made, item_id = after
            query["$or"] = [{"created_at": {"$lt": made}}, {"created_at": made, "_id": {"$lt": item_id}}]
        with database_calls():
            found = collection_of(FeedDocument).find(query).sort([("created_at", -1), ("_id", -1)]).limit(limit)
            return [_item(document) async for document in found]

    async def delete_by_subscriber(self, tenant: str, subscriber_id: str) -> None:
        """Remove a subscriber's feed."""
        with database_calls():
            await collection_of(FeedDocument).delete_many({"tenant": tenant, "subscriber_id": subscriber_id})


class MongoProgress:
    """Implements `ports.ProgressStore`. Raises `Unavailable` when the answer is unknown."""

    async def find(self, tenant: str, event_id: str) -> Progress | None:
        """What the router concluded for an event of this tenant, if it came to it yet."""
        with database_calls():
            found = await collection_of(AudienceDocument).find_one(
                {"_id": event_id, "tenant": tenant}, {"groups.members": 0}
            )
        return msgspec.convert(found, Progress) if found else None


def _item(document: Mapping[str, Any]) -> FeedItem:
    return msgspec.convert({**document, "id": document["_id"]}, FeedItem)
