"""What every source of subscribers for the index keeps to: the one in memory, and MongoDB's."""

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime

import msgspec
import pytest

from libs.common.adapters.mongo.connect import open_database
from libs.common.adapters.mongo.documents import SubscriberDocument
from libs.common.adapters.mongo.wishes import MongoWishes
from libs.common.domain.channels import Channel
from libs.common.domain.messages import SubscriberChanged, WantedSubscription
from libs.common.settings import MongoSettings
from libs.common.testing.wishes import MemoryWishes

pytestmark = pytest.mark.integration

Put = Callable[..., Awaitable[None]]
Subject = tuple[MemoryWishes | MongoWishes, Put]


@pytest.fixture(params=["memory", "mongodb"])
async def subject(request: pytest.FixtureRequest) -> AsyncIterator[Subject]:
    """A source, and how to write to what it reads."""
    if request.param == "memory":
        memory = MemoryWishes()

        async def remember(changed: SubscriberChanged, erased_at: datetime | None = None) -> None:
            memory.put(changed)
            if erased_at is not None:
                memory.erasing.add((changed.tenant, changed.subscriber_id))

        yield memory, remember
        return
    uri = request.getfixturevalue("stack").mongodb_uri
    settings = MongoSettings(uri=uri, db=request.getfixturevalue("database_name"))
    async with open_database(settings, create_indexes=True):

        async def insert(changed: SubscriberChanged, erased_at: datetime | None = None) -> None:
            document = {
                "_id": f"{changed.tenant}:{changed.subscriber_id}",
                "email": "somebody@example.com",
                "pending_events": [],
                "erased_at": erased_at,
                **msgspec.to_builtins(changed),
            }
            await SubscriberDocument.get_pymongo_collection().insert_one(document)

        yield MongoWishes(), insert


def a_subscriber(name: str, ordinal: int, tenant: str = "acme") -> SubscriberChanged:
    wanted = WantedSubscription(
        name="default", pattern={"topic": ["tech"]}, channels=(Channel.SMS,), windows=("08:00-20:00",)
    )
    return SubscriberChanged(
        tenant=tenant,
        subscriber_id=name,
        ordinal=ordinal,
        version=3,
        active=True,
        time_zone="Europe/Berlin",
        subscriptions=(wanted, WantedSubscription(name="all")),
    )


async def test_a_scan_gives_everybody_once(subject: Subject) -> None:
    source, put = subject
    everybody = [a_subscriber("ann", 1), a_subscriber("bob", 2), a_subscriber("ann", 1, "other")]
    for one in everybody:
        await put(one)

    found = [one async for batch in source.scan() for one in batch]

    assert sorted(found, key=lambda one: (one.tenant, one.ordinal)) == everybody


async def test_a_scan_of_nobody_is_empty(subject: Subject) -> None:
    assert [batch async for batch in subject[0].scan()] == []


async def test_somebody_who_is_being_erased_is_left_out(subject: Subject) -> None:
    """An index that had taken them in did not hear of them when they came back."""
    source, put = subject
    await put(a_subscriber("ann", 1), erased_at=datetime(2030, 1, 1, tzinfo=UTC))
    await put(a_subscriber("bob", 2))

    assert [one.subscriber_id async for batch in source.scan() for one in batch] == ["bob"]
    assert await source.ids_of("acme", [1, 2]) == {2: "bob"}


async def test_somebody_is_found_by_id_within_the_tenant(subject: Subject) -> None:
    source, put = subject
    await put(a_subscriber("ann", 1))
    await put(a_subscriber("bob", 2, "other"))

    assert await source.find("acme", {"ann", "bob", "nobody"}) == [a_subscriber("ann", 1)]
    assert await source.find("acme", []) == []


async def test_ordinals_read_as_ids_within_the_tenant(subject: Subject) -> None:
    source, put = subject
    await put(a_subscriber("ann", 1))
    await put(a_subscriber("bob", 2, "other"))

    assert await source.ids_of("acme", [1, 2, 3]) == {1: "ann"}
    assert await source.ids_of("acme", []) == {}


async def test_more_ids_than_one_query_takes_are_found(subject: Subject) -> None:
    source, put = subject
    await put(a_subscriber("ann", 1_500))

    assert [one.subscriber_id for one in await source.find("acme", [f"u{n}" for n in range(1_500)] + ["ann"])] == [
        "ann"
    ]
    assert await source.ids_of("acme", range(2_000)) == {1_500: "ann"}


async def test_somebody_who_cannot_be_read_is_left_out(subject: Subject) -> None:
    source, put = subject
    await put(a_subscriber("ann", 1))
    if isinstance(source, MongoWishes):
        await SubscriberDocument.get_pymongo_collection().insert_one(
            {"_id": "acme:bad", "tenant": "acme", "subscriber_id": "bad", "ordinal": "two"}
        )

    assert [one.subscriber_id async for batch in source.scan() for one in batch] == ["ann"]
