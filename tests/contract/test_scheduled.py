"""What every store of holds keeps to: the one in memory, and MongoDB's."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from libs.common.adapters.mongo.connect import open_database
from libs.common.adapters.mongo.documents import ScheduledDocument
from libs.common.adapters.mongo.scheduled import MongoHolds
from libs.common.domain.channels import Channel
from libs.common.domain.deliveries import Lease
from libs.common.domain.fan_out import Hold
from libs.common.domain.messages import Content, DeliveryBatch, Event
from libs.common.domain.parts import HEAVIEST
from libs.common.settings import MongoSettings
from libs.common.testing.scheduled import MemoryHolds

pytestmark = pytest.mark.integration

NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
Store = MemoryHolds | MongoHolds


@pytest.fixture(params=["memory", "mongodb"])
async def store(request: pytest.FixtureRequest) -> AsyncIterator[Store]:
    if request.param == "memory":
        yield MemoryHolds()
        return
    uri = request.getfixturevalue("stack").mongodb_uri
    settings = MongoSettings(uri=uri, db=request.getfixturevalue("database_name"))
    async with open_database(settings, create_indexes=True):
        yield MongoHolds()


def a_hold(number: int, due_at: datetime = NOON, *subscribers: str) -> Hold:
    event = Event(
        id="1", source="/s", time=NOON, tenant="acme", eventid="e", data=Content(title="Ä", data={"a": [1, None]})
    )
    batch = DeliveryBatch(event=event, channel=Channel.SMS, subscribers=subscribers or ("u",), chunk=number)
    return Hold(f"h{number}", due_at, batch)


def a_lease(now: datetime, owner: str = "us") -> Lease:
    return Lease(owner, now, now + MINUTE)


async def claimed(store: Store, now: datetime, limit: int = 100, owner: str = "us") -> list[str]:
    return [hold.id for hold in (await store.claim(a_lease(now, owner), limit)).holds]


async def test_a_hold_comes_back_as_it_was_kept_once_it_is_due(store: Store) -> None:
    hold = replace(a_hold(1, NOON, "ann", "bob"), addressed=True)
    await store.put([hold], NOON - MINUTE)

    early = await store.claim(a_lease(NOON - timedelta(milliseconds=1)), 10)
    due = await store.claim(a_lease(NOON), 10)

    assert (early.holds, due.holds, due.unreadable) == ((), (hold,), {})


async def test_one_that_is_there_stays_as_it_is(store: Store) -> None:
    await store.put([a_hold(1, NOON, "first")], NOON)
    await store.put([a_hold(1, NOON, "second"), a_hold(2)], NOON)

    found = (await store.claim(a_lease(NOON), 10)).holds
    assert sorted((hold.id, hold.batch.subscribers) for hold in found) == [("h1", ("first",)), ("h2", ("u",))]


async def test_the_earliest_come_first_and_no_more_than_asked_for(store: Store) -> None:
    await store.put([a_hold(n, NOON - n * MINUTE) for n in range(5)], NOON)

    assert await claimed(store, NOON, limit=2) == ["h4", "h3"]
    assert await claimed(store, NOON, limit=2) == ["h2", "h1"]


async def test_what_one_has_claimed_no_other_gets_before_the_lease_ends(store: Store) -> None:
    await store.put([a_hold(1)], NOON)

    assert await claimed(store, NOON) == ["h1"]
    assert await claimed(store, NOON + MINUTE - timedelta(milliseconds=1)) == []
    assert await claimed(store, NOON + MINUTE) == ["h1"]


async def test_what_its_owner_gives_back_anybody_gets_at_once(store: Store) -> None:
    await store.put([a_hold(1), a_hold(2)], NOON)
    await store.claim(a_lease(NOON, "us"), 1)
    await store.claim(a_lease(NOON, "them"), 1)

    await store.give_back("us")

    assert await claimed(store, NOON) == ["h1"]
    await store.give_back("nobody")
    assert await claimed(store, NOON) == []


async def test_several_at_once_share_what_is_due(store: Store) -> None:
    await store.put([a_hold(n) for n in range(40)], NOON)

    shares = await asyncio.gather(*(claimed(store, NOON, limit=20, owner=name) for name in "abcd"))
    rest = [await claimed(store, NOON) for _ in range(2)]

    got = sorted(name for share in [*shares, *rest] for name in share)
    assert got == sorted(f"h{n}" for n in range(40))


async def test_what_is_deleted_is_gone(store: Store) -> None:
    await store.put([a_hold(1), a_hold(2)], NOON)

    await store.delete(["h1", "unknown"])

    assert await claimed(store, NOON) == ["h2"]


async def test_the_next_due_time_is_the_earliest(store: Store) -> None:
    assert await store.next_due() is None

    await store.put([a_hold(1, NOON + MINUTE), a_hold(2, NOON)], NOON)

    assert await store.next_due() == NOON


async def test_no_more_is_claimed_than_fits_into_one_append(store: Store) -> None:
    event = Event(id="1", source="/s", time=NOON, tenant="acme", eventid="e", data=Content(title="x" * 200_000))
    batches = [DeliveryBatch(event=event, channel=Channel.SMS, subscribers=("u",), chunk=n) for n in range(45)]
    await store.put((Hold(f"h{batch.chunk}", NOON, batch) for batch in batches), NOON)

    first, second = await claimed(store, NOON), await claimed(store, NOON)

    assert 200_000 * len(first) <= HEAVIEST
    assert sorted(first + second) == sorted(f"h{number}" for number in range(45))


async def test_nothing_is_asked_of_it_for_nothing(store: Store) -> None:
    await store.put([], NOON)
    await store.delete([])

    assert await claimed(store, NOON) == []


async def test_a_batch_that_cannot_be_read_is_told_apart(store: Store) -> None:
    await store.put([a_hold(1), a_hold(2)], NOON)
    if isinstance(store, MemoryHolds):
        store.batches["h1"] = (NOON, b"{")
    else:
        await ScheduledDocument.get_pymongo_collection().update_one({"_id": "h1"}, {"$set": {"batch": b"{"}})

    found = await store.claim(a_lease(NOON), 10)

    assert [hold.id for hold in found.holds] == ["h2"]
    assert found.unreadable == {"h1": b"{"}


@pytest.mark.parametrize("damage", [{"batch": ""}, {"batch": 1}, {"addressed": 7}, {"weight": "heavy", "batch": None}])
async def test_a_damaged_document_is_told_apart_and_kept_whole(stack: Any, database_name: str, damage: Any) -> None:
    """It stopped all releases: nothing but the batch's own bytes was looked at before it was used."""
    async with open_database(MongoSettings(uri=stack.mongodb_uri, db=database_name), create_indexes=True):
        store, collection = MongoHolds(), ScheduledDocument.get_pymongo_collection()
        await store.put([a_hold(1), a_hold(2)], NOON)
        await collection.update_one({"_id": "h1"}, {"$set": damage})
        await collection.insert_one({"_id": "h3"})

        found = await store.claim(a_lease(NOON), 10)
        await store.delete([*found.unreadable, "h2"])

        assert [hold.id for hold in found.holds] == ["h2"]
        assert list(found.unreadable) == ["h1"]
        assert await store.next_due() is None
