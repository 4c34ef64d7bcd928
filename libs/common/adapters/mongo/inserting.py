"""The one insert on which claims, audiences and holds rest: many documents in one round trip, and whose `_id` was there
already. Knows no document's meaning."""

from collections.abc import Sequence
from typing import Any

from beanie import Document
from pymongo.errors import BulkWriteError

from libs.common.adapters.mongo.connect import collection_of, database_calls
from libs.common.domain.errors import Unavailable

_DUPLICATE_KEY = 11000


async def insert_new(kind: type[Document], documents: Sequence[dict[str, Any]]) -> set[str]:
    """Insert those whose `_id` is not there yet; the ids of the others, which stay as they are. Raises `Unavailable`
    when it is not known what was written."""
    if not documents:
        return set()
    try:
        with database_calls():
            await collection_of(kind).insert_many(documents, ordered=False)
    except BulkWriteError as error:
        details = error.details or {}
        faults = details.get("writeErrors", [])
        others = {fault["code"] for fault in faults} - {_DUPLICATE_KEY}
        if others or details.get("writeConcernErrors"):
            raise Unavailable(f"MongoDB: some of {kind.__name__} were not written, codes {sorted(others)}") from error
        return {str(documents[fault["index"]]["_id"]) for fault in faults}
    return set()
