"""Endpoints: which have deliveries already, by the store in memory and MongoDB's; and how MongoDB retires one."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from libs.common.adapters.mongo.connect import collection_of, open_database
from libs.common.adapters.mongo.deliveries import MongoDeliveryStore
from libs.common.adapters.mongo.documents import SubscriberDocument
from libs.common.adapters.mongo.endpoints import MongoEndpoints
from libs.common.adapters.mongo.recipients import MongoRecipientStore
from libs.common.domain import keys
from libs.common.domain.channels import Channel
from libs.common.domain.deliveries import Lease, Work
from libs.common.domain.messages import Event
from libs.common.settings import MongoSettings
from libs.common.testing.deliveries import MemoryDeliveries

pytestmark = pytest.mark.integration

NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
LEASE = Lease("us", NOON, NOON + timedelta(seconds=25))
Store = MemoryDeliveries | MongoDeliveryStore


@pytest.fixture(params=["memory", "mongodb"])
async def store(request: pytest.FixtureRequest) -> AsyncIterator[Store]:
    if request.param == "memory":
        yield MemoryDeliveries()
        return
    uri = request.getfixturevalue("stack").mongodb_uri
    settings = MongoSettings(uri=uri, db=request.getfixturevalue("database_name"))
    async with open_database(settings, create_indexes=True):
        yield MongoDeliveryStore()


@pytest.fixture
async def database(stack: Any, database_name: str) -> AsyncIterator[None]:
    async with open_database(MongoSettings(uri=stack.mongodb_uri, db=database_name), create_indexes=True):
        yield


@pytest.fixture
async def ann(database: None) -> dict[str, Any]:
    """A subscriber with two devices and two webhooks, and another tenant's of the same name."""
    document = {
        "_id": "acme:ann",
        "tenant": "acme",
        "subscriber_id": "ann",
        "ordinal": 1,
        "version": 3,
        "active": True,
        "push_tokens": [{"endpoint": "phone", "token": "t1"}, {"endpoint": "tablet", "token": "t2"}],
        "webhooks": [
            {"endpoint": name, "url": f"https://{name}.example", "secrets": ["whsec_YQ=="], "disabled_reason": ""}
            for name in ("crm", "shop")
        ],
        "created_at": NOON,
        "updated_at": NOON,
    }
    await collection_of(SubscriberDocument).insert_one(document)
    await collection_of(SubscriberDocument).insert_one(document | {"_id": "other:ann", "tenant": "other"})
    return document


async def stored(tenant: str = "acme") -> dict[str, Any]:
    found: dict[str, Any] | None = await collection_of(SubscriberDocument).find_one({"_id": f"{tenant}:ann"})
    assert found is not None
    return found


def a_work(event: str, subscriber: str, endpoint: str, channel: Channel = Channel.PUSH, generation: int = 0) -> Work:
    fact = Event(id=event, source="/shop", time=NOON, tenant="acme", eventid=keys.event_id("acme", "/shop", event))
    delivery = keys.delivery_id(fact.eventid, subscriber, channel, endpoint, generation)
    return Work(fact, channel, subscriber, delivery, endpoint, generation)


async def test_the_endpoints_of_which_there_are_deliveries_are_told(store: Store) -> None:
    phone, tablet = a_work("1", "ann", "phone"), a_work("1", "ann", "tablet", generation=1)
    others = [a_work("1", "ben", "phone"), a_work("2", "ann", "watch"), a_work("1", "ann", "crm", Channel.WEBHOOK)]
    await store.insert(
        [
            (each, LEASE)
            for each in (
                phone,
                tablet,
                *others,
            )
        ]
    )

    found = await store.endpoints([a_work("1", "ann", "*"), a_work("1", "cem", "*")])

    assert found == {(phone.notification_id, "phone", 0), (phone.notification_id, "tablet", 1)}


async def test_a_device_is_removed_and_nothing_else_is_touched(ann: dict[str, Any]) -> None:
    assert await MongoEndpoints().retire("acme", "ann", Channel.PUSH, "tablet", "t2", "unregistered")
    assert await stored() == ann | {"push_tokens": [{"endpoint": "phone", "token": "t1"}]}
    assert len((await stored("other"))["push_tokens"]) == 2


async def test_a_webhook_is_disabled_and_is_no_address_any_more(ann: dict[str, Any]) -> None:
    assert await MongoEndpoints().retire("acme", "ann", Channel.WEBHOOK, "shop", "https://shop.example", "gone")

    crm, shop = ann["webhooks"]
    assert await stored() == ann | {"webhooks": [crm, shop | {"disabled_reason": "gone"}]}
    recipient = (await MongoRecipientStore().find([("acme", "ann")]))["acme", "ann"]
    assert recipient.endpoints(Channel.WEBHOOK) == ("crm",)
    assert recipient.secrets["crm"] == ("whsec_YQ==",)


@pytest.mark.parametrize(
    ("channel", "endpoint", "address"),
    [
        (Channel.PUSH, "phone", "t2"),
        (Channel.PUSH, "watch", "t1"),
        (Channel.WEBHOOK, "crm", "https://shop.example"),
        (Channel.WEBHOOK, "phone", "t1"),
    ],
)
async def test_an_address_that_was_replaced_meanwhile_stays(
    ann: dict[str, Any], channel: Channel, endpoint: str, address: str
) -> None:
    assert not await MongoEndpoints().retire("acme", "ann", channel, endpoint, address, "gone")
    assert await stored() == ann


async def test_somebody_unknown_is_nobody_to_retire(ann: dict[str, Any]) -> None:
    assert not await MongoEndpoints().retire("acme", "ben", Channel.PUSH, "phone", "t1", "gone")
