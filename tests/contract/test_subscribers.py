"""What every store of subscribers keeps to: the one in memory, and MongoDB."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from libs.common.adapters.mongo.connect import open_database
from libs.common.adapters.mongo.documents import SubscriberDocument
from libs.common.adapters.mongo.subscribers import MongoOrdinals, MongoSubscribers
from libs.common.domain.channels import Channel
from libs.common.domain.subscribers import Device, Subscriber, Subscription, Webhook
from libs.common.settings import MongoSettings
from libs.common.testing.subscribers import MemoryOrdinals, MemorySubscribers

pytestmark = pytest.mark.integration

NOW = datetime(2030, 1, 1, 12, tzinfo=UTC)
Stores = tuple[Any, Any]


@pytest.fixture(params=["memory", "mongo"])
async def stores(request: pytest.FixtureRequest) -> AsyncIterator[Stores]:
    """A store of subscribers and one of ordinals, both empty."""
    if request.param == "memory":
        yield MemorySubscribers(), MemoryOrdinals()
        return
    stack, name = request.getfixturevalue("stack"), request.getfixturevalue("database_name")
    async with open_database(MongoSettings(uri=stack.mongodb_uri, db=name), create_indexes=True):
        yield MongoSubscribers(), MongoOrdinals()


def ada(**changed: Any) -> Subscriber:
    """A subscriber with everything."""
    whole = Subscriber(
        tenant="acme",
        subscriber_id="ada",
        ordinal=0,
        name="Ada",
        email="ada@example.com",
        phone="+491701234567",
        push_tokens=(Device(endpoint="phone", token="t"),),
        locale="de",
        time_zone="Europe/Berlin",
        subscriptions=(
            Subscription(
                name="default",
                pattern={"$or": [{"topic": ["a.b"]}, {"data": {"$x": [1]}}]},
                channels=(Channel.EMAIL,),
                windows=("08:00-20:00",),
                preferences={"topic": ["tech"]},
            ),
            Subscription(name="all"),
        ),
        created_at=NOW,
        updated_at=NOW,
    )
    return msgspec.structs.replace(whole, **changed)


async def test_what_is_stored_is_found(stores: Stores) -> None:
    subscribers, _ = stores

    assert await subscribers.insert(ada())
    assert await subscribers.find("acme", "ada") == ada()
    assert await subscribers.find("other", "ada") is None


async def test_an_id_is_taken_once_per_tenant(stores: Stores) -> None:
    subscribers, _ = stores

    inserted = await asyncio.gather(*(subscribers.insert(ada(ordinal=n)) for n in range(5)))

    assert sorted(inserted) == [False, False, False, False, True]
    assert await subscribers.insert(ada(tenant="other"))


async def test_a_change_goes_over_the_version_that_was_read_and_no_other(stores: Stores) -> None:
    subscribers, _ = stores
    await subscribers.insert(ada())
    second = [ada(version=2, name=name) for name in ("x", "y", "z")]

    written = await asyncio.gather(*(subscribers.replace(change) for change in second))

    assert sorted(written) == [False, False, True]
    assert await subscribers.find("acme", "ada") == second[written.index(True)]
    assert not await subscribers.replace(ada(version=2))
    assert not await subscribers.replace(ada(subscriber_id="nobody", version=2))


async def test_a_change_is_pending_until_that_version_is_published(stores: Stores) -> None:
    subscribers, _ = stores
    later = NOW + timedelta(minutes=1)
    await subscribers.insert(ada())

    assert await subscribers.pending(NOW, 10) == []
    assert await subscribers.pending(later, 10) == [ada()]
    await subscribers.replace(ada(version=2))
    assert not await subscribers.published(ada())
    assert await subscribers.pending(later, 10) == [ada(version=2)]
    assert await subscribers.published(ada(version=2))
    assert await subscribers.pending(later, 10) == []


async def test_the_oldest_pending_come_first_and_no_more_than_asked_for(stores: Stores) -> None:
    subscribers, _ = stores
    for n in (2, 0, 1):
        await subscribers.insert(ada(subscriber_id=f"s{n}", ordinal=n, updated_at=NOW + timedelta(seconds=n)))

    found = await subscribers.pending(NOW + timedelta(minutes=1), 2)

    assert [subscriber.subscriber_id for subscriber in found] == ["s0", "s1"]


async def test_a_change_that_is_put_off_is_pending_from_then_on_unless_another_follows(stores: Stores) -> None:
    subscribers, _ = stores
    soon, later = NOW + timedelta(minutes=1), NOW + timedelta(hours=1)
    await subscribers.insert(ada())
    await subscribers.insert(ada(subscriber_id="bob", ordinal=1))

    async def pending(before: datetime) -> list[str]:
        return [found.subscriber_id for found in await subscribers.pending(before, 10)]

    await subscribers.put_off(ada(), later)
    await subscribers.put_off(ada(subscriber_id="bob", version=2), later)

    assert await pending(soon) == ["bob"]
    assert await pending(later + timedelta(minutes=1)) == ["bob", "ada"]
    await subscribers.replace(ada(version=2))
    assert sorted(await pending(soon)) == ["ada", "bob"]
    await subscribers.published(ada(version=2))
    await subscribers.put_off(ada(version=2), NOW)
    assert await pending(soon) == ["bob"]


async def test_somebody_who_cannot_be_read_takes_nobodys_place_among_the_pending(stores: Stores) -> None:
    """One such document failed every sweep, so that nobody's change was told."""
    subscribers, _ = stores
    await subscribers.insert(ada())
    if isinstance(subscribers, MongoSubscribers):
        await SubscriberDocument.get_pymongo_collection().insert_one(
            {"_id": "acme:bad", "tenant": "acme", "ordinal": 1, "pending_since": NOW - timedelta(hours=1)}
        )

    assert await subscribers.pending(NOW + timedelta(minutes=1), 1) == [ada()]


async def test_only_an_erased_one_is_deleted(stores: Stores) -> None:
    subscribers, _ = stores
    await subscribers.insert(ada())

    await subscribers.delete_erased("acme", "ada")
    assert await subscribers.find("acme", "ada") is not None

    erased = msgspec.structs.replace(ada().without_person(NOW), version=2)
    assert await subscribers.replace(erased)
    assert await subscribers.find("acme", "ada") == erased
    await subscribers.delete_erased("acme", "ada")
    assert await subscribers.find("acme", "ada") is None


async def test_only_active_ones_of_the_tenant_are_counted(stores: Stores) -> None:
    subscribers, _ = stores
    await subscribers.insert(ada())
    await subscribers.insert(ada(subscriber_id="eve", ordinal=1, active=False))
    await subscribers.insert(ada(tenant="other"))

    assert await subscribers.count_active("acme") == 1


async def test_no_two_subscribers_share_an_ordinal(stores: Stores) -> None:
    _, ordinals = stores

    taken = await asyncio.gather(*(ordinals.take("acme") for _ in range(150)))

    assert len(set(taken)) == 150
    assert min(taken) >= 0
    assert await ordinals.take("other") == 0


async def test_processes_that_make_a_tenants_counter_at_once_share_no_ordinal(stores: Stores) -> None:
    """One of twenty that raced by upsert got nothing, and its subscriber was refused."""
    _, ordinals = stores
    processes = [MongoOrdinals() if isinstance(ordinals, MongoOrdinals) else ordinals for _ in range(20)]

    for tenant in ("a", "b", "c", "d", "e"):
        taken = await asyncio.gather(*(process.take(tenant) for process in processes))
        assert len(set(taken)) == 20


async def test_two_processes_share_no_ordinal(stores: Stores) -> None:
    _, ordinals = stores
    other = type(ordinals)() if isinstance(ordinals, MongoOrdinals) else ordinals

    taken = [await (ordinals if n % 2 else other).take("acme") for n in range(250)]

    assert len(set(taken)) == 250
    assert max(taken) < 400


async def test_subscribers_are_listed_by_id_in_pages(stores: Stores) -> None:
    """Those of one tenant, also when another's name begins with the same letters; without erased ones."""
    subscribers, _ = stores
    for number, name in enumerate(("c", "a", "b")):
        await subscribers.insert(ada(subscriber_id=name, ordinal=number))
    await subscribers.insert(ada(subscriber_id="e", ordinal=9, erased_at=ada().created_at))
    await subscribers.insert(ada(tenant="acme-2", subscriber_id="x"))

    async def ids(limit: int, after: str = "") -> list[str]:
        return [found.subscriber_id for found in await subscribers.page("acme", limit, after)]

    assert await ids(10) == ["a", "b", "c"]
    assert await ids(2) == ["a", "b"]
    assert await ids(2, "b") == ["c"]


async def test_webhooks_are_kept_whole(stores: Stores) -> None:
    subscribers, _ = stores
    hook = Webhook(endpoint="crm", url="https://example.com", secrets=("a", "b"), disabled_reason="gone")
    await subscribers.insert(ada(webhooks=(hook,)))

    found = await subscribers.find("acme", "ada")
    assert found is not None
    assert found.webhooks == (hook,)
