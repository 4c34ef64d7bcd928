"""Reads the truth about subscribers for the router's index: all of them once, a few by id now and then. Contact points
stay where they are: only what matching needs is asked for."""

from collections.abc import AsyncIterator, Collection, Iterable, Iterator
from typing import Any

import msgspec
import structlog

from libs.common.adapters.mongo.connect import collection_of, database_calls
from libs.common.adapters.mongo.documents import SubscriberDocument, subscriber_key
from libs.common.domain.messages import SubscriberChanged
from libs.common.domain.parts import parts

_log = structlog.get_logger(__name__)

_BATCH = 1_000
_FIELDS = {
    "_id": 0,
    "tenant": 1,
    "subscriber_id": 1,
    "ordinal": 1,
    "version": 1,
    "active": 1,
    "time_zone": 1,
    "subscriptions.name": 1,
    "subscriptions.pattern": 1,
    "subscriptions.channels": 1,
    "subscriptions.windows": 1,
}


class MongoWishes:
    """Implements `SubscriberSource` of the router. Needs an open database."""

    async def scan(self) -> AsyncIterator[list[SubscriberChanged]]:
        """All subscribers of all tenants, in batches, but for those that are being erased. Raises `Unavailable`."""
        with database_calls():
            cursor = collection_of(SubscriberDocument).find({"erased_at": None}, _FIELDS, batch_size=_BATCH)
            async with cursor:
                while documents := await cursor.to_list(_BATCH):
                    yield list(_readable(documents))

    async def find(self, tenant: str, subscriber_ids: Collection[str]) -> list[SubscriberChanged]:
        """Those of the ids that exist. Raises `Unavailable`."""
        found: list[SubscriberChanged] = []
        for part in parts(subscriber_ids, _BATCH):
            keys = [subscriber_key(tenant, subscriber_id) for subscriber_id in part]
            found += _readable(await _documents({"_id": {"$in": keys}}, _FIELDS))
        return found

    async def ids_of(self, tenant: str, ordinals: Collection[int]) -> dict[int, str]:
        """The ids behind ordinals; erased ones are left out. Raises `Unavailable`."""
        found: dict[int, str] = {}
        for part in parts(ordinals, _BATCH):
            documents = await _documents(
                {"tenant": tenant, "ordinal": {"$in": part}, "erased_at": None},
                {"_id": 0, "ordinal": 1, "subscriber_id": 1},
            )
            found |= {document["ordinal"]: document["subscriber_id"] for document in documents}
        return found


async def _documents(query: dict[str, Any], fields: dict[str, int]) -> list[dict[str, Any]]:
    with database_calls():
        return await collection_of(SubscriberDocument).find(query, fields).to_list()


def _readable(documents: Iterable[dict[str, Any]]) -> Iterator[SubscriberChanged]:
    for document in documents:
        try:
            yield msgspec.convert(document, SubscriberChanged)
        except msgspec.ValidationError as error:
            _log.error("subscriber.unreadable", subscriber=document.get("subscriber_id"), error=str(error))
