"""What every feed keeps to: the one in memory, and MongoDB's; and how recipients are read from what the API writes."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from libs.common.adapters.mongo.connect import open_database
from libs.common.adapters.mongo.documents import FeedDocument, PushToken, SubscriberDocument, WebhookEndpoint
from libs.common.adapters.mongo.feed import MongoFeed
from libs.common.adapters.mongo.recipients import MongoRecipientStore
from libs.common.domain.channels import Channel
from libs.common.domain.errors import Poison
from libs.common.domain.feed_entries import FeedEntry
from libs.common.settings import MongoSettings
from libs.common.testing.feed import MemoryFeed

pytestmark = pytest.mark.integration

NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
ENTRY = FeedEntry("n1", "acme", "ann", "e1", "Shipped", "On its way", topic="orders", data={"number": 7})
Feed = MemoryFeed | MongoFeed


@pytest.fixture
async def database(stack: Any, database_name: str) -> AsyncIterator[None]:
    async with open_database(MongoSettings(uri=stack.mongodb_uri, db=database_name), create_indexes=True):
        yield


@pytest.fixture(params=["memory", "mongodb"])
async def feed(request: pytest.FixtureRequest, database: None) -> Feed:
    return MemoryFeed() if request.param == "memory" else MongoFeed()


async def entries(feed: Feed) -> dict[str, str]:
    """The title of every entry."""
    if isinstance(feed, MemoryFeed):
        return {key: entry.title for key, (entry, _) in feed.entries.items()}
    return {each.id: each.title for each in await FeedDocument.find_all().to_list()}


async def test_a_notification_stands_in_the_feed_once(feed: Feed) -> None:
    await feed.put([ENTRY], NOON)
    await feed.put([replace(ENTRY, title="Another"), replace(ENTRY, notification_id="n2")], NOON)

    assert await entries(feed) == {"n1": "Shipped", "n2": "Shipped"}


async def test_putting_nothing_is_no_call(feed: Feed) -> None:
    await feed.put([], NOON)
    assert await entries(feed) == {}


async def test_an_entry_comes_back_as_a_document(database: None) -> None:
    await MongoFeed().put([ENTRY], NOON)
    document = await FeedDocument.get("n1")
    assert document is not None
    assert (document.topic, document.data, document.created_at, document.read_at) == (
        "orders",
        {"number": 7},
        NOON,
        None,
    )


async def test_data_that_the_database_cannot_hold_is_told_from_a_database_that_is_away(database: None) -> None:
    with pytest.raises(Poison):
        await MongoFeed().put([replace(ENTRY, data={"number": 2**70})], NOON)


def a_subscriber(name: str, **fields: Any) -> SubscriberDocument:
    given = {"tenant": "acme", "subscriber_id": name, "ordinal": len(name), "created_at": NOON, "updated_at": NOON}
    return SubscriberDocument(id=f"acme:{name}", **(given | fields))


async def test_a_recipient_is_read_with_all_addresses(database: None) -> None:
    await a_subscriber(
        "ann",
        email="ann@example.org",
        phone="+49301",
        push_tokens=[PushToken(endpoint="phone", token="t1")],
        webhooks=[
            WebhookEndpoint(endpoint="crm", url="https://crm.example.org", secrets=["s"]),
            WebhookEndpoint(endpoint="old", url="https://old.example.org", secrets=["s"], disabled_reason="gone"),
        ],
    ).insert()

    found = (await MongoRecipientStore().find({("acme", "ann")}))["acme", "ann"]

    assert found.active
    assert found.addresses == {
        (Channel.EMAIL, "main"): "ann@example.org",
        (Channel.SMS, "main"): "+49301",
        (Channel.PUSH, "phone"): "t1",
        (Channel.WEBHOOK, "crm"): "https://crm.example.org",
    }
    assert "example.org" not in repr(found)


async def test_unknown_and_unsubscribed_recipients(database: None) -> None:
    await a_subscriber("ben", active=False).insert()

    found = await MongoRecipientStore().find({("acme", "ann"), ("acme", "ben"), ("other", "ben")})

    assert {key: each.active for key, each in found.items()} == {("acme", "ben"): False}
