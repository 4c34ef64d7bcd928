"""Keeps the choice for every event in MongoDB. Inserting it is what makes it stand: whoever comes second reads it."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

from pyroaring import BitMap

from libs.common.adapters.mongo.connect import collection_of, database_calls
from libs.common.adapters.mongo.documents import AudienceDocument
from libs.common.adapters.mongo.inserting import insert_new
from libs.common.domain.audience import Audience, Choice, Group
from libs.common.domain.channels import Channel
from libs.common.domain.decide import Outcome, Reason


class MongoAudiences:
    """Implements `AudienceStore` of the router. Needs an open database."""

    async def recall(self, event_ids: Collection[str]) -> dict[str, Audience]:
        """Those on record, by event id."""
        if not event_ids:
            return {}
        with database_calls():
            found = collection_of(AudienceDocument).find({"_id": {"$in": list(event_ids)}})
            return {document["_id"]: _audience(document) async for document in found}

    async def record(self, audiences: Sequence[Audience]) -> set[str]:
        """Put audiences on record, in one unordered insert; the ids of events that had one already, which stands."""
        return await insert_new(AudienceDocument, [_document(audience) for audience in audiences])

    async def mark_fanned_out(self, event_ids: Collection[str], now: datetime) -> None:
        """Note that everything that follows from these audiences has been written."""
        if event_ids:
            with database_calls():
                await collection_of(AudienceDocument).update_many(
                    {"_id": {"$in": list(event_ids)}}, {"$set": {"fanned_out_at": now}}
                )


def _document(audience: Audience) -> dict[str, Any]:
    return {
        "_id": audience.event_id,
        "tenant": audience.tenant,
        "groups": [
            {
                "outcome": group.outcome,
                "reason": group.reason,
                "channel": group.channel,
                "due_at": group.due_at,
                "members": group.members.serialize(),
                "count": len(group.members),
            }
            for group in audience.choice.groups
        ],
        "unknown_recipients": list(audience.choice.unknown),
        "index_position": dict(audience.index_position),
        "origin": audience.origin,
        "created_at": audience.decided_at,
        "fanned_out_at": audience.decided_at if audience.fanned_out else None,
    }


def _audience(document: dict[str, Any]) -> Audience:
    groups = tuple(
        Group(
            Outcome(group["outcome"]),
            Reason(group["reason"]),
            Channel(group["channel"]) if group["channel"] else None,
            group["due_at"],
            BitMap.deserialize(group["members"]),
        )
        for group in document["groups"]
    )
    return Audience(
        event_id=document["_id"],
        tenant=document["tenant"],
        choice=Choice(groups, tuple(document["unknown_recipients"])),
        index_position=document["index_position"],
        origin=document["origin"],
        decided_at=document["created_at"],
        fanned_out=document["fanned_out_at"] is not None,
    )
