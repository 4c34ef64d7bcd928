"""The in-app feed in MongoDB, as the dispatcher writes it. A notification stands in it once, however often it is put
there."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from bson.errors import InvalidDocument

from libs.common.adapters.mongo.documents import FeedDocument
from libs.common.adapters.mongo.inserting import insert_new
from libs.common.domain.errors import Poison
from libs.common.domain.feed_entries import FeedEntry


class MongoFeed:
    """Implements the in-app channel's `Feed`."""

    async def put(self, entries: Sequence[FeedEntry], now: datetime) -> None:
        """Add the entries that are not there yet. Raises `Unavailable`, and `Poison` for data that BSON cannot hold."""
        try:
            await insert_new(FeedDocument, [_document(entry, now) for entry in entries])
        except (InvalidDocument, OverflowError) as error:  # JSON knows integers of any size, BSON up to 64 bits
            raise Poison(f"the entry's data cannot be stored: {type(error).__name__}") from error


def _document(entry: FeedEntry, now: datetime) -> dict[str, Any]:
    return {
        "_id": entry.notification_id,
        "tenant": entry.tenant,
        "subscriber_id": entry.subscriber_id,
        "event_id": entry.event_id,
        "title": entry.title,
        "content": entry.content,
        "topic": entry.topic,
        "priority": entry.priority,
        "category": entry.category,
        "data": entry.data,
        "created_at": now,
        "read_at": None,
    }
