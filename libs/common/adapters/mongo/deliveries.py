"""Deliveries in MongoDB: claims, and how attempts ended. Every write is conditional on what the caller believes to be
there; few round trips, since updates are what slow servers are slowest at."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import bson
from pymongo import UpdateMany, UpdateOne
from pymongo.errors import BulkWriteError
from pymongo.results import BulkWriteResult

from libs.common.adapters.mongo.connect import collection_of, database_calls
from libs.common.adapters.mongo.documents import DeliveryDocument
from libs.common.adapters.mongo.inserting import insert_new
from libs.common.domain.deliveries import KnownDelivery, Lease, Settlement, Take, Tried, Work
from libs.common.domain.errors import Unavailable
from libs.common.domain.states import State

_KEPT_ATTEMPTS = 10
"""The history kept in the document; the whole of it is on the log."""
_FOUND = {"state": 1, "attempt": 1, "fence": 1, "owner": 1, "lease_until": 1}

_PLACE = {"notification_id": 1, "endpoint": 1, "generation": 1}


class MongoDeliveryStore:
    """Implements the dispatcher's `DeliveryStore`."""

    async def insert(self, claims: Sequence[tuple[Work, Lease]]) -> set[str]:
        """Claim by insert; the ids that were there already."""
        return await insert_new(DeliveryDocument, [_new(work, lease) for work, lease in claims])

    async def find(self, delivery_ids: Collection[str]) -> dict[str, KnownDelivery]:
        """What is known of these deliveries, by id."""
        with database_calls():
            cursor = collection_of(DeliveryDocument).find({"_id": {"$in": list(delivery_ids)}}, _FOUND)
            return {document["_id"]: _found(document) async for document in cursor}

    async def endpoints(self, works: Sequence[Work]) -> set[tuple[str, str, int]]:
        """Every (notification id, endpoint, generation) of these notifications that has a delivery on their channel."""
        wanted = {
            # Served by the index that begins with it: 4 ms for 120 on a server that is slow at all else.
            "notification_id": {"$in": list({work.notification_id for work in works})},
            "tenant": {"$in": list({work.event.tenant for work in works})},
            "channel": {"$in": list({work.channel.value for work in works})},
        }
        with database_calls():
            cursor = collection_of(DeliveryDocument).find(wanted, _PLACE)
            return {(each["notification_id"], each["endpoint"], each.get("generation", 0)) async for each in cursor}

    async def take(self, takes: Sequence[Take], lease: Lease) -> set[str]:
        """Claim those that still are as they were found; the ids of those that are now ours."""
        if not takes:
            return set()
        ids = [take.found.delivery_id for take in takes]
        deliveries = collection_of(DeliveryDocument)
        with database_calls():
            result = await _write([_take(take, lease) for take in takes])
            if result.matched_count == len(takes):
                return set(ids)
            ours = {"_id": {"$in": ids}, "owner": lease.owner, "state": State.SENDING.value}
            cursor = deliveries.find(ours, {"_id": 1})
            return {document["_id"] async for document in cursor}

    async def settle(self, settlements: Sequence[Settlement]) -> int:
        """Write how attempts ended, if the fence is still ours; how many took effect."""
        if not settlements:
            return 0
        with database_calls():
            result = await _write(_ends(settlements))
            tried = [each for each in settlements if each.tried is not None]
            if result.matched_count < len(settlements) and tried:
                # A receipt or a cancellation may have moved the state on: the attempt is history all the same.
                await _write([_remember(each) for each in tried])
        return int(result.matched_count)


async def _write(updates: Sequence[UpdateOne | UpdateMany]) -> BulkWriteResult:
    """Some of many may fail by themselves (a shard that is away, a full disk, a step-down), which is no defect of ours:
    each update says what it expects, so all may be written again."""
    try:
        return await collection_of(DeliveryDocument).bulk_write(updates, ordered=False)
    except BulkWriteError as error:
        codes = sorted({fault.get("code") for fault in (error.details or {}).get("writeErrors", [])})
        raise Unavailable(f"MongoDB: some deliveries were not written, codes {codes}") from error


def _new(work: Work, lease: Lease) -> dict[str, Any]:
    # As `DeliveryDocument` would write it, without the cost of validating what we derived ourselves.
    return {
        "_id": work.delivery_id,
        "tenant": work.event.tenant,
        "event_id": work.event.eventid,
        "notification_id": work.notification_id,
        "subscriber_id": work.subscriber_id,
        "channel": work.channel.value,
        "endpoint": work.endpoint,
        "generation": work.generation,
        "lane": work.event.lane.value,
        "state": State.SENDING.value,
        "reason": "",
        "attempt": work.attempt,
        "fence": 1,
        "owner": lease.owner,
        "lease_until": lease.until,
        "due_at": None,
        "attempts": [],
        "provider": "",
        "provider_message_id": "",
        "created_at": lease.now,
        "updated_at": lease.now,
    }


def _found(document: Mapping[str, Any]) -> KnownDelivery:
    return KnownDelivery(
        document["_id"],
        State(document["state"]),
        document.get("attempt", 0),
        document.get("fence", 0),
        document.get("owner", ""),
        document.get("lease_until"),
    )


def _take(take: Take, lease: Lease) -> UpdateOne:
    found = take.found
    return UpdateOne(
        {"_id": found.delivery_id, "fence": found.fence, "state": found.state.value},
        {
            "$set": {
                "state": State.SENDING.value,
                "attempt": take.attempt,
                "fence": take.fence,
                "owner": lease.owner,
                "lease_until": lease.until,
                "due_at": None,
                "updated_at": lease.now,
            }
        },
    )


def _ends(settlements: Sequence[Settlement]) -> list[UpdateOne | UpdateMany]:
    """Ends that are alike are one update, as of a group that went into the feed by one insert: a third of the cost."""
    alike: dict[bytes, tuple[int, dict[str, Any], list[str]]] = {}
    for settlement in settlements:
        fence, change = settlement.claim.fence, _end(settlement)
        key = bson.encode({"fence": fence, "change": change})
        alike.setdefault(key, (fence, change, []))[2].append(settlement.claim.work.delivery_id)
    return [_update(ids, fence, change) for fence, change, ids in alike.values()]


def _update(ids: list[str], fence: int, change: dict[str, Any]) -> UpdateOne | UpdateMany:
    ours = {"fence": fence, "state": State.SENDING.value}
    if len(ids) == 1:
        return UpdateOne({"_id": ids[0], **ours}, change)
    return UpdateMany({"_id": {"$in": ids}, **ours}, change)


def _end(settlement: Settlement) -> dict[str, Any]:
    change: dict[str, Any] = {
        "$set": {
            "state": settlement.state.value,
            "reason": settlement.step.reason,
            "attempt": settlement.attempt,
            "lease_until": None,
            "due_at": settlement.due_at,
            "updated_at": settlement.at,
            **_provider(settlement),
        }
    }
    if settlement.tried is not None:
        change["$push"] = _history(settlement, settlement.tried)
    return change


def _remember(settlement: Settlement) -> UpdateOne:
    assert settlement.tried is not None  # noqa: S101 - the caller chose those that were tried
    claim = settlement.claim
    change: dict[str, Any] = {"$push": _history(settlement, settlement.tried)}
    if provider := _provider(settlement):
        change["$set"] = provider
    return UpdateOne(
        {"_id": claim.work.delivery_id, "fence": claim.fence, "attempts.number": {"$ne": claim.attempt}},
        change,
    )


def _provider(settlement: Settlement) -> dict[str, Any]:
    given: dict[str, Any] = {}
    if settlement.tried is not None:
        given["provider"] = settlement.tried.provider
    if settlement.provider_message_id:
        given["provider_message_id"] = settlement.provider_message_id
    return given


def _history(settlement: Settlement, tried: Tried) -> dict[str, Any]:
    attempt = {
        "number": settlement.claim.attempt,
        "at": tried.at,
        "provider": tried.provider,
        "latency_ms": round(tried.latency.total_seconds() * 1000, 1),
        "answer": tried.answer,
        "reason": settlement.step.reason,
        "next_at": settlement.due_at,
    }
    return {"attempts": {"$each": [attempt], "$slice": -_KEPT_ATTEMPTS}}
