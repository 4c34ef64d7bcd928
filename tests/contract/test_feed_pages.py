"""What every reader of feeds and of events' progress keeps to: those in memory, and MongoDB's."""

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from libs.common.adapters.mongo.connect import open_database
from libs.common.adapters.mongo.documents import AudienceDocument, FeedDocument
from libs.common.adapters.mongo.feed_pages import MongoFeedPages, MongoProgress
from libs.common.domain.shown import FeedItem, Progress, ShownGroup
from libs.common.settings import MongoSettings
from libs.common.testing.shown import MemoryFeedPages, MemoryProgress

pytestmark = pytest.mark.integration

NOW = datetime(2030, 1, 1, 12, tzinfo=UTC)
Put = Callable[[str, str, FeedItem], Awaitable[None]]
Record = Callable[[str, str, Progress], Awaitable[None]]
Readers = tuple[Any, Any, Put, Record]


@pytest.fixture(params=["memory", "mongo"])
async def readers(request: pytest.FixtureRequest) -> AsyncIterator[Readers]:
    """Readers of feeds and progress, and how something gets there."""
    if request.param == "memory":
        feed, progress = MemoryFeedPages(), MemoryProgress()

        async def put(tenant: str, subscriber_id: str, item: FeedItem) -> None:
            feed.items[tenant, subscriber_id].append(item)

        async def record(tenant: str, event_id: str, found: Progress) -> None:
            progress.events[tenant, event_id] = found

        yield feed, progress, put, record
        return
    stack, name = request.getfixturevalue("stack"), request.getfixturevalue("database_name")
    async with open_database(MongoSettings(uri=stack.mongodb_uri, db=name), create_indexes=True):

        async def put_document(tenant: str, subscriber_id: str, item: FeedItem) -> None:
            await FeedDocument(tenant=tenant, subscriber_id=subscriber_id, **msgspec.structs.asdict(item)).insert()

        async def record_document(tenant: str, event_id: str, found: Progress) -> None:
            fields = msgspec.to_builtins(found, builtin_types=(datetime,))
            groups = [{**group, "members": b"bitmap"} for group in fields.pop("groups")]
            await AudienceDocument(id=event_id, tenant=tenant, groups=groups, origin="t/0/1", **fields).insert()

        yield MongoFeedPages(), MongoProgress(), put_document, record_document


def item(item_id: str, seconds: int) -> FeedItem:
    """An item made `seconds` after noon."""
    made = NOW + timedelta(seconds=seconds)
    return FeedItem(id=item_id, event_id="e", title="T", content="C", data={"a": [1]}, created_at=made)


async def test_a_feed_is_read_newest_first_from_any_place_on(readers: Readers) -> None:
    """Items of one instant are told apart by their ids."""
    feed, _, put, _ = readers
    items = [item("d", 2), item("c", 1), item("b", 1), item("a", 1), item("e", 0)]
    for one in (items[2], items[0], items[4], items[3], items[1]):
        await put("acme", "ada", one)

    assert await feed.page("acme", "ada", 10) == items
    assert await feed.page("acme", "ada", 2) == items[:2]
    assert await feed.page("acme", "ada", 2, (items[1].created_at, "c")) == items[2:4]
    assert await feed.page("acme", "ada", 2, (items[4].created_at, "e")) == []


async def test_a_feed_is_one_persons(readers: Readers) -> None:
    feed, _, put, _ = readers
    await put("acme", "ada", item("a", 0))

    assert await feed.page("acme", "eve", 10) == []
    assert await feed.page("other", "ada", 10) == []


async def test_progress_is_its_tenants(readers: Readers) -> None:
    _, progress, _, record = readers
    found = Progress(
        groups=(
            ShownGroup(outcome="SEND", reason="matched", channel="EMAIL", count=3),
            ShownGroup(outcome="X", reason="y", count=1),
        ),
        unknown_recipients=("nobody",),
        created_at=NOW,
        fanned_out_at=NOW,
    )
    await record("acme", "e1", found)

    assert await progress.find("acme", "e1") == found
    assert await progress.find("other", "e1") is None
    assert await progress.find("acme", "e2") is None


async def test_a_feed_goes_with_its_person_and_no_other_does(readers: Readers) -> None:
    feed, _, put, _ = readers
    for tenant, who, item_id in (("acme", "ada", "a"), ("acme", "ben", "b"), ("other", "ada", "c")):
        await put(tenant, who, item(item_id, 0))

    await feed.delete_by_subscriber("acme", "ada")

    pages = [await feed.page(tenant, who, 10) for tenant, who in (("acme", "ada"), ("acme", "ben"), ("other", "ada"))]
    assert [[found.id for found in page] for page in pages] == [[], ["b"], ["c"]]
