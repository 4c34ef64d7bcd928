"""What every store of deliveries keeps to: the one in memory, and MongoDB's."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.errors import BulkWriteError

from libs.common.adapters.mongo.connect import collection_of, open_database
from libs.common.adapters.mongo.deliveries import MongoDeliveryStore
from libs.common.adapters.mongo.documents import DeliveryDocument
from libs.common.domain import keys
from libs.common.domain.channels import MAIN_ENDPOINT, Channel
from libs.common.domain.deliveries import Claim, KnownDelivery, Lease, PutOff, Settlement, Take, Tried, Work
from libs.common.domain.errors import Unavailable
from libs.common.domain.messages import Event
from libs.common.domain.retry import RetryAt, Settle
from libs.common.domain.states import State
from libs.common.settings import MongoSettings
from libs.common.testing.deliveries import MemoryDeliveries

pytestmark = pytest.mark.integration

NOON = datetime(2026, 3, 2, 12, 0, 0, 123_000, tzinfo=UTC)
LEASE = Lease("us", NOON, NOON + timedelta(seconds=25))
THEIRS = Lease("them", NOON, NOON + timedelta(seconds=25))
EVENT = Event(id="1", source="/shop", time=NOON, tenant="acme", eventid=keys.event_id("acme", "/shop", "1"))
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


def a_work(subscriber: str = "ann", **fields: Any) -> Work:
    delivery = keys.delivery_id(EVENT.eventid, subscriber, Channel.EMAIL, MAIN_ENDPOINT)
    return Work(EVENT, Channel.EMAIL, subscriber, delivery, **fields)


def a_claim(work: Work, attempt: int = 1, fence: int = 1) -> Claim:
    return Claim(work, attempt, fence, LEASE.until)


def an_end(claim: Claim, step: Settle | RetryAt | PutOff, answer: str = "accepted") -> Settlement:
    tried = Tried(NOON, "http", timedelta(milliseconds=12), answer)
    return Settlement(claim, step, NOON, None if isinstance(step, PutOff) else tried)


async def found(store: Store, work: Work) -> KnownDelivery:
    return (await store.find([work.delivery_id]))[work.delivery_id]


async def test_a_new_delivery_is_claimed_by_insert(store: Store) -> None:
    work = a_work()
    assert await store.insert([(work, LEASE)]) == set()
    assert await found(store, work) == KnownDelivery(work.delivery_id, State.SENDING, 1, 1, "us", LEASE.until)


async def test_only_the_first_insert_claims(store: Store) -> None:
    ann, ben, cem = a_work("ann"), a_work("ben"), a_work("cem")
    await store.insert([(ben, THEIRS)])

    assert await store.insert(
        [
            (each, LEASE)
            for each in (
                ann,
                ben,
                cem,
            )
        ]
    ) == {ben.delivery_id}

    assert (await found(store, ben)).owner == "them"
    assert (await found(store, cem)).owner == "us"


async def test_nothing_to_do_is_no_call(store: Store) -> None:
    assert await store.insert([]) == set()
    assert await store.take([], LEASE) == set()
    assert await store.settle([]) == 0
    assert await store.find([]) == {}


async def test_what_is_as_it_was_found_can_be_taken(store: Store) -> None:
    work = a_work()
    await store.insert([(work, THEIRS)])
    take = Take(await found(store, work), attempt=2)

    assert await store.take([take], LEASE) == {work.delivery_id}

    assert await found(store, work) == KnownDelivery(work.delivery_id, State.SENDING, 2, 2, "us", LEASE.until)


async def test_of_two_who_take_one_wins(store: Store) -> None:
    ann, ben = a_work("ann"), a_work("ben")
    await store.insert(
        [
            (each, replace(THEIRS, owner="before"))
            for each in (
                ann,
                ben,
            )
        ]
    )
    takes = [Take(await found(store, each), attempt=2) for each in (ann, ben)]

    assert await store.take(takes[:1], THEIRS) == {ann.delivery_id}
    assert await store.take(takes, LEASE) == {ben.delivery_id}

    assert (await found(store, ann)).owner == "them"


async def test_taking_again_after_a_lost_answer_finds_what_is_ours(store: Store) -> None:
    work = a_work()
    await store.insert([(work, THEIRS)])
    take = Take(await found(store, work), attempt=2)
    await store.take([take], LEASE)

    assert await store.take([take], LEASE) == {work.delivery_id}

    assert (await found(store, work)).fence == 2


@pytest.mark.parametrize(
    ("step", "state", "attempt"),
    [
        (Settle(State.SENT, provider_message_id="m1"), State.SENT, 1),
        (Settle(State.UNDELIVERABLE, "http_400"), State.UNDELIVERABLE, 1),
        (RetryAt(1, NOON, "http_503"), State.RETRYING, 1),
        (RetryAt(1, NOON, "timeout", State.UNKNOWN), State.UNKNOWN, 1),
        (PutOff(1, NOON, "no_slot_in_time"), State.RETRYING, 0),
    ],
    ids=["sent", "refused", "retrying", "unknown", "put off"],
)
async def test_an_end_is_written(store: Store, step: Any, state: State, attempt: int) -> None:
    work = a_work()
    await store.insert([(work, LEASE)])

    assert await store.settle([an_end(a_claim(work), step)]) == 1

    assert await found(store, work) == KnownDelivery(work.delivery_id, state, attempt, 1, "us", None)


async def test_an_outdated_fence_changes_nothing(store: Store) -> None:
    work = a_work()
    await store.insert([(work, THEIRS)])
    await store.take([Take(await found(store, work), attempt=2)], LEASE)
    before = await found(store, work)

    assert await store.settle([an_end(a_claim(work), Settle(State.SENT))]) == 0

    assert await found(store, work) == before


async def test_a_state_that_moved_on_stays(store: Store) -> None:
    work = a_work()
    await store.insert([(work, LEASE)])
    await store.settle([an_end(a_claim(work), Settle(State.SENT))])

    assert await store.settle([an_end(a_claim(work), RetryAt(1, NOON, "http_503"), "not_now")]) == 0

    assert (await found(store, work)).state is State.SENT


async def test_ends_are_written_together(store: Store) -> None:
    works = [a_work(f"person-{number}") for number in range(5)]
    await store.insert([(work, LEASE) for work in works])
    ends = [an_end(a_claim(each), Settle(State.SENT)) for each in works[:4]]
    ends.append(an_end(a_claim(works[4], fence=7), Settle(State.SENT)))

    assert await store.settle(ends) == 4


async def test_ends_that_are_alike_are_one_update_and_each_has_its_own_history(documents: Any) -> None:
    store, works = MongoDeliveryStore(), [a_work(f"person-{number}") for number in range(4)]
    await store.insert([(work, LEASE) for work in works])
    alike = [an_end(a_claim(each), Settle(State.SENT)) for each in works[:2]]
    another = an_end(a_claim(works[2]), Settle(State.UNDELIVERABLE, "http_400"))
    outdated = an_end(a_claim(works[3], fence=7), Settle(State.SENT))

    assert await store.settle([*alike, another, outdated]) == 3

    found = [await documents.find_one({"_id": each.delivery_id}) for each in works]
    assert [each["state"] for each in found] == ["SENT", "SENT", "UNDELIVERABLE", "SENDING"]
    assert [len(each["attempts"]) for each in found] == [1, 1, 1, 0]
    assert [each["lease_until"] for each in found[:3]] == [None] * 3


async def test_a_write_that_failed_in_part_is_told_as_unavailable(
    stack: Any, database_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk, a shard that is away, a step-down: it was taken for a defect, and mails went out twice."""
    work = a_work()
    async with open_database(MongoSettings(uri=stack.mongodb_uri, db=database_name)):
        store = MongoDeliveryStore()
        await store.insert([(work, LEASE)])
        take = Take(await found(store, work), 2)

        async def fail(*_: Any, **__: Any) -> None:
            raise BulkWriteError({"writeErrors": [{"index": 0, "code": 14031}]})

        monkeypatch.setattr(AsyncCollection, "bulk_write", fail)
        for write in (store.take([take], LEASE), store.settle([an_end(a_claim(work), Settle(State.SENT))])):
            with pytest.raises(Unavailable, match="14031"):
                await write


@pytest.fixture
async def documents(stack: Any, database_name: str) -> AsyncIterator[Any]:
    """The collection itself: what the API will read."""
    async with open_database(MongoSettings(uri=stack.mongodb_uri, db=database_name)):
        yield collection_of(DeliveryDocument)


async def test_a_claim_is_a_whole_document(documents: Any) -> None:
    """What is written past Beanie must be what Beanie reads."""
    work = a_work()
    await MongoDeliveryStore().insert([(work, LEASE)])

    document = await DeliveryDocument.get(work.delivery_id)

    assert document is not None
    assert set(await documents.find_one({})) - {"_id"} <= set(DeliveryDocument.model_fields)
    assert document.notification_id == work.notification_id
    assert (document.tenant, document.state, document.created_at) == ("acme", State.SENDING, NOON)


async def test_the_history_is_kept_and_bounded(documents: Any) -> None:
    store, work = MongoDeliveryStore(), a_work()
    await store.insert([(work, LEASE)])
    for number in range(1, 13):
        claim = a_claim(work, number, number)
        await store.settle([an_end(claim, RetryAt(1, NOON, "http_503"), "not_now")])
        await store.take([Take(await found(store, work), number + 1)], LEASE)

    document = await DeliveryDocument.get(work.delivery_id)

    assert document is not None
    assert [each.number for each in document.attempts] == list(range(3, 13))
    last = document.attempts[-1]
    assert (last.provider, last.latency_ms, last.answer, last.reason) == ("http", 12.0, "not_now", "http_503")
    assert last.next_at == NOON


async def test_the_attempt_is_remembered_when_a_receipt_was_faster(documents: Any) -> None:
    store, work = MongoDeliveryStore(), a_work()
    await store.insert([(work, LEASE)])
    await documents.update_one({"_id": work.delivery_id}, {"$set": {"state": "DELIVERED"}})

    end = an_end(a_claim(work), Settle(State.SENT, provider_message_id="m1"))
    assert await store.settle([end]) == 0
    assert await store.settle([end]) == 0

    document = await DeliveryDocument.get(work.delivery_id)
    assert document is not None
    assert (document.state, document.provider_message_id) == (State.DELIVERED, "m1")
    assert [each.number for each in document.attempts] == [1]
