"""Claims of idempotency keys in MongoDB: whoever inserts the `_id` first decides what the key stands for."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

from libs.common.adapters.mongo.connect import collection_of, database_calls
from libs.common.adapters.mongo.documents import ClaimDocument
from libs.common.adapters.mongo.inserting import insert_new
from libs.common.domain.claims import RequestClaim


class MongoClaims:
    """Implements `ports.ClaimStore`. Every call raises `Unavailable` when the answer is unknown; calling again is
    right."""

    async def insert(self, claims: Sequence[RequestClaim]) -> dict[str, RequestClaim]:
        """Make all claims that are not made yet, in one round trip; those that were there before, by id."""
        before = await insert_new(ClaimDocument, [_document(claim) for claim in claims])
        return await self._read(before) if before else {}

    async def find(self, claim_id: str) -> RequestClaim | None:
        """The claim of this id."""
        return (await self._read([claim_id])).get(claim_id)

    async def find_notification(self, tenant: str, notification_id: str) -> RequestClaim | None:
        """The claim made for this direct notification."""
        query = {"tenant": tenant, "notification_id": notification_id}
        with database_calls():
            found = await collection_of(ClaimDocument).find_one(query)
        return _claim(found) if found else None

    async def find_event(self, tenant: str, event_id: str) -> RequestClaim | None:
        """A claim made for this event."""
        with database_calls():
            found = await collection_of(ClaimDocument).find_one({"tenant": tenant, "event_id": event_id})
        return _claim(found) if found else None

    async def _read(self, ids: Collection[str]) -> dict[str, RequestClaim]:
        with database_calls():
            found = collection_of(ClaimDocument).find({"_id": {"$in": list(ids)}})
            return {document["_id"]: _claim(document) async for document in found}


def _document(claim: RequestClaim) -> dict[str, Any]:
    fields = msgspec.to_builtins(claim, builtin_types=(datetime,))
    # What only direct notifications have is left out of the claims of events, which are many.
    return {"_id": fields.pop("id"), **{name: value for name, value in fields.items() if value}}


def _claim(document: Mapping[str, Any]) -> RequestClaim:
    return msgspec.convert({**document, "id": document["_id"]}, RequestClaim)
