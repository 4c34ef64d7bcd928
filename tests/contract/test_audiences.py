"""What every store of audiences keeps to: the one in memory, and MongoDB's."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
from pyroaring import BitMap

from libs.common.adapters.mongo.audiences import MongoAudiences
from libs.common.adapters.mongo.connect import open_database
from libs.common.domain.audience import Audience, Choice, Group
from libs.common.domain.channels import Channel
from libs.common.domain.decide import Outcome, Reason
from libs.common.settings import MongoSettings
from libs.common.testing.audiences import MemoryAudiences

pytestmark = pytest.mark.integration

NOON = datetime(2026, 3, 2, 12, 0, 0, 123_000, tzinfo=UTC)
Store = MemoryAudiences | MongoAudiences


@pytest.fixture(params=["memory", "mongodb"])
async def store(request: pytest.FixtureRequest) -> AsyncIterator[Store]:
    if request.param == "memory":
        yield MemoryAudiences()
        return
    uri = request.getfixturevalue("stack").mongodb_uri
    settings = MongoSettings(uri=uri, db=request.getfixturevalue("database_name"))
    async with open_database(settings, create_indexes=True):
        yield MongoAudiences()


def an_audience(event_id: str, *members: int) -> Audience:
    groups = (
        Group(Outcome.SEND, Reason.MATCHED, Channel.EMAIL, None, BitMap(members)),
        Group(Outcome.HOLD, Reason.WINDOW_CLOSED, Channel.PUSH, NOON + timedelta(hours=1), BitMap([4_294_967_295])),
        Group(Outcome.NO_MATCH, Reason.NOBODY_MATCHED),
    )
    return Audience(event_id, "acme", Choice(groups, ("x", "y")), {"0": 7, "11": 9}, "events/0/1", NOON)


async def test_an_audience_comes_back_as_it_was_recorded(store: Store) -> None:
    audience = an_audience("e1", 1, 2, 70_000)

    assert await store.record([audience, an_audience("e2")]) == set()
    assert await store.recall(["e1", "unknown"]) == {"e1": audience}


async def test_the_first_audience_of_an_event_stands(store: Store) -> None:
    await store.record([an_audience("e1", 1)])

    present = await store.record([an_audience("e0", 5), an_audience("e1", 2), an_audience("e2", 3)])

    found = await store.recall(["e0", "e1", "e2"])
    assert present == {"e1"}
    assert {key: list(one.choice.groups[0].members) for key, one in found.items()} == {"e0": [5], "e1": [1], "e2": [3]}


async def test_being_fanned_out_is_remembered(store: Store) -> None:
    await store.record([an_audience("e1"), an_audience("e2"), an_audience("e3")])

    await store.mark_fanned_out(["e1", "e3", "unknown"], NOON)

    found = await store.recall(["e1", "e2", "e3", "unknown"])
    assert {key: one.fanned_out for key, one in found.items()} == {"e1": True, "e2": False, "e3": True}


async def test_nothing_is_asked_of_it_for_nothing(store: Store) -> None:
    assert await store.recall([]) == {}
    assert await store.record([]) == set()
    await store.mark_fanned_out([], NOON)


async def test_an_audience_of_a_million_is_kept(store: Store) -> None:
    million = BitMap(range(0, 3_000_000, 3))
    choice = Choice((Group(Outcome.SEND, Reason.MATCHED, Channel.EMAIL, None, million),))

    await store.record([Audience("e1", "acme", choice, {}, "events/0/1", NOON)])

    assert (await store.recall(["e1"]))["e1"].choice == choice
