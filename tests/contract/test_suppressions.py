"""What every store of suppressions keeps to: the one in memory, and MongoDB's."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest

from libs.common.adapters.mongo.connect import open_database
from libs.common.adapters.mongo.documents import SuppressionDocument
from libs.common.adapters.mongo.suppressions import MongoSuppressions
from libs.common.domain.channels import Channel
from libs.common.domain.suppressions import Reason, address_key
from libs.common.settings import MongoSettings
from libs.common.testing.suppressions import MemorySuppressions

pytestmark = pytest.mark.integration

NOW = datetime(2030, 1, 1, 12, tzinfo=UTC)
ANN = "ann@example.org"
KEY = address_key("acme", Channel.EMAIL, ANN)

Store = MemorySuppressions | MongoSuppressions


@pytest.fixture(params=["memory", "mongodb"])
async def store(request: pytest.FixtureRequest) -> AsyncIterator[Store]:
    """A store with nothing in it."""
    if request.param == "memory":
        yield MemorySuppressions()
        return
    uri = request.getfixturevalue("stack").mongodb_uri
    settings = MongoSettings(uri=uri, db=request.getfixturevalue("database_name"))
    async with open_database(settings, create_indexes=True):
        yield MongoSuppressions()


async def test_a_suppressed_address_is_found_by_its_key(store: Store) -> None:
    await store.add("acme", Channel.EMAIL, ANN, "bounced", NOW, "d1")
    others = [address_key("other", Channel.EMAIL, ANN), address_key("acme", Channel.SMS, ANN)]
    assert await store.find_many([KEY, *others]) == {KEY: Reason.HARD_BOUNCE}
    assert await store.find_many([]) == {}


async def test_the_first_reason_stays(store: Store) -> None:
    await store.add("acme", Channel.EMAIL, ANN, Reason.COMPLAINT, NOW, "d1")
    await store.add("acme", Channel.EMAIL, ANN.upper(), Reason.MANUAL, NOW + timedelta(hours=1))
    (found,) = await store.page("acme", 10)
    assert (found.id, found.reason, found.at, found.delivery_id) == (KEY, Reason.COMPLAINT, NOW, "d1")


async def test_a_lifted_address_is_written_to_again(store: Store) -> None:
    await store.add("acme", Channel.EMAIL, ANN, "complained", NOW)
    assert not await store.lift("other", Channel.EMAIL, ANN)
    assert not await store.lift_key("other", KEY)
    assert await store.lift("acme", Channel.EMAIL, ANN)
    assert not await store.lift("acme", Channel.EMAIL, ANN)
    assert await store.find_many([KEY]) == {}


async def test_pages_go_from_the_newest_to_the_oldest(store: Store) -> None:
    for number in range(5):
        await store.add("acme", Channel.EMAIL, f"{number}@example.org", "MANUAL", NOW + timedelta(hours=number // 2))
    await store.add("other", Channel.EMAIL, ANN, "MANUAL", NOW)

    seen = []
    page = await store.page("acme", 2)
    while page:
        seen += page
        page = await store.page("acme", 2, (page[-1].at, page[-1].id))

    assert [found.at for found in seen] == [NOW + timedelta(hours=hours) for hours in (2, 1, 1, 0, 0)]
    assert {found.id for found in seen} == {
        address_key("acme", Channel.EMAIL, f"{number}@example.org") for number in range(5)
    }


async def test_an_unknown_reason_is_refused(store: Store) -> None:
    with pytest.raises(ValueError, match="because"):
        await store.add("acme", Channel.EMAIL, ANN, "because", NOW)


async def test_no_address_is_kept(store: Store) -> None:
    await store.add("acme", Channel.EMAIL, ANN, "bounced", NOW)
    if isinstance(store, MongoSuppressions):
        kept = [document async for document in SuppressionDocument.get_pymongo_collection().find({})]
    else:
        kept = list(store.kept.values())
    assert len(kept) == 1
    assert "example.org" not in str(kept)
