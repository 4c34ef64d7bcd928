"""What every store of notifications keeps to: the one in memory, and MongoDB's. States never move backwards, whatever
receipts come in whatever order."""

import asyncio
import itertools
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyroaring import BitMap

from libs.common.adapters.mongo.connect import collection_of, open_database
from libs.common.adapters.mongo.deliveries import MongoDeliveryStore
from libs.common.adapters.mongo.documents import AudienceDocument, FeedDocument, ScheduledDocument
from libs.common.adapters.mongo.notifications import MongoNotifications
from libs.common.adapters.mongo.scheduled import MongoHolds
from libs.common.domain import keys
from libs.common.domain.channels import MAIN_ENDPOINT, Channel
from libs.common.domain.deliveries import Claim, Lease, Settlement, Tried, Work
from libs.common.domain.fan_out import Hold
from libs.common.domain.messages import DeliveryBatch, Event
from libs.common.domain.notifications import PROGRESS, Decided, Held, KeptDelivery, overall
from libs.common.domain.receipts import Receipt, ReceiptStatus, concerned, next_state
from libs.common.domain.retry import Settle
from libs.common.domain.states import FROM, TERMINAL, State
from libs.common.settings import MongoSettings
from libs.common.testing.notifications import MemoryNotifications

pytestmark = pytest.mark.integration

NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)
LATER = NOON + timedelta(seconds=5)


@pytest.fixture(params=["memory", "mongo"])
async def store(request: pytest.FixtureRequest) -> AsyncIterator[Any]:
    """A store without notifications."""
    if request.param == "memory":
        yield MemoryNotifications()
        return
    stack, name = request.getfixturevalue("stack"), request.getfixturevalue("database_name")
    async with open_database(MongoSettings(uri=stack.mongodb_uri, db=name), create_indexes=True):
        yield MongoNotifications()


def delivery(name: str = "d", state: State = State.SENT, **fields: Any) -> KeptDelivery:
    """A delivery of the notification `n`."""
    made = KeptDelivery(
        id=name,
        tenant="acme",
        event_id="e",
        notification_id="n",
        subscriber_id="ada",
        channel=Channel.EMAIL,
        state=state,
        created_at=NOON,
        updated_at=NOON,
    )
    return msgspec.structs.replace(made, **fields)


async def test_deliveries_are_found_by_notification_and_tenant(store: Any) -> None:
    mine, theirs = delivery("a"), delivery("b", tenant="other")
    other = delivery("c", notification_id="m")
    assert [await store.insert(each) for each in (mine, theirs, other)] == [True, True, True]

    assert await store.deliveries("n", "acme") == [mine]
    assert sorted(await store.deliveries("n"), key=lambda each: each.id) == [mine, theirs]
    assert await store.delivery("acme", "a") == mine
    assert await store.delivery("other", "a") is None
    assert await store.delivery("acme", "x") is None


async def test_an_insert_does_not_touch_what_is_there(store: Any) -> None:
    await store.insert(delivery(state=State.SENDING))

    assert await store.insert(delivery(state=State.CANCELLED)) is False
    assert (await store.delivery("acme", "d")).state is State.SENDING


async def test_a_move_happens_from_the_named_states_alone(store: Any) -> None:
    await store.insert(delivery(due_at=LATER))

    assert await store.move("d", State.CANCELLED, {State.QUEUED, State.HELD}, LATER, "", "") is None
    assert await store.move("x", State.READ, FROM[State.READ], LATER, "", "") is None
    moved = await store.move("d", State.UNDELIVERABLE, FROM[State.UNDELIVERABLE], LATER, "bounced", "no such user")

    expected = delivery(state=State.UNDELIVERABLE, reason="bounced", detail="no such user", updated_at=LATER)
    assert moved == await store.delivery("acme", "d") == expected


async def test_of_many_moves_at_once_one_happens(store: Any) -> None:
    await store.insert(delivery())

    answers = await asyncio.gather(
        *(store.move("d", state, FROM[state], LATER, "", "") for state in (State.DELIVERED, State.DELIVERED))
    )

    assert [answer is not None for answer in sorted(answers, key=bool)] == [False, True]


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    start=st.sampled_from(State),
    receipts=st.lists(st.sampled_from(ReceiptStatus), max_size=6),
)
async def test_receipts_in_any_order_never_move_a_state_backwards(
    store: Any, start: State, receipts: list[ReceiptStatus]
) -> None:
    """And the end depends on what was said, not on how often."""
    name = str(uuid.uuid4())
    await store.insert(delivery(name, start))
    seen = [start]
    for status in itertools.chain.from_iterable((each, each) for each in receipts):
        receipt = Receipt(channel=Channel.EMAIL, status=status)
        expected = next_state(seen[-1], receipt)
        await store.move(name, receipt.state, FROM[receipt.state], LATER, receipt.reason, "")
        seen.append((await store.delivery("acme", name)).state)
        assert seen[-1] is expected

    changes = [(old, new) for old, new in itertools.pairwise(seen) if old is not new]
    assert all(old in FROM[new] for old, new in changes)
    assert all(old not in TERMINAL and old is not State.READ for old, _ in changes)
    assert len(changes) <= 2


async def test_what_was_decided_for_one_is_not_told_of_another(store: Any) -> None:
    due = NOON + timedelta(hours=1)
    held = Decided(outcome="HOLD", reason="window_closed", channel=Channel.EMAIL, due_at=due)
    unsubscribed = Decided(outcome="SUPPRESS", reason="unsubscribed")
    if isinstance(store, MemoryNotifications):
        store.decisions["acme", "e"] = {1: [held], 2: [unsubscribed]}
    else:
        groups = [
            {**msgspec.to_builtins(decided, builtin_types=(datetime,)), "members": BitMap([n]).serialize(), "count": 1}
            for n, decided in ((1, held), (2, unsubscribed))
        ]
        await AudienceDocument(id="e", tenant="acme", groups=groups, origin="t/0/1", created_at=NOON).insert()

    assert await store.decided("acme", "e", 1) == [held]
    assert await store.decided("acme", "e", 2) == [unsubscribed]
    assert await store.decided("acme", "e", 3) == []
    assert await store.decided("other", "e", 1) is None
    assert await store.decided("acme", "f", 1) is None


async def test_an_entry_is_read_once(store: Any) -> None:
    if isinstance(store, MemoryNotifications):
        store.feed["acme", "n"] = None
    else:
        fields = {"tenant": "acme", "subscriber_id": "ada", "event_id": "e", "title": "T", "content": "C"}
        await FeedDocument(id="n", created_at=NOON, **fields).insert()

    assert await store.mark_read("other", "n", NOON) is False
    assert await store.mark_read("acme", "n", NOON) is True
    assert await store.mark_read("acme", "n", LATER) is True

    if isinstance(store, MemoryNotifications):
        assert store.feed["acme", "n"] == NOON
    else:
        assert (await collection_of(FeedDocument).find_one({"_id": "n"}))["read_at"] == NOON


async def test_what_is_held_is_found_by_the_notification(store: Any) -> None:
    """On every channel, of the tenant alone; a hold that cannot be read has nothing to tell."""
    email, sms = held(), held(channel=Channel.SMS, due_at=LATER)
    await put(store, email, sms, held(tenant="other"), held(event_id="f"))
    if not isinstance(store, MemoryNotifications):
        broken = keys.notification_id("e", "eve")
        await put(store, held(subscriber_id="eve", notification_id=broken))
        await collection_of(ScheduledDocument).update_one({"notification_ids": broken}, {"$set": {"batch": b"{"}})
        assert await store.held("acme", broken) == []

    assert sorted(await store.held("acme", email.notification_id), key=lambda each: each.channel) == [email, sms]
    assert await store.held("acme", "unknown") == []


def held(subscriber_id: str = "ada", event_id: str = "e", **fields: Any) -> Held:
    """What the router would have held."""
    made = Held(
        tenant="acme",
        event_id=event_id,
        notification_id=keys.notification_id(event_id, subscriber_id),
        subscriber_id=subscriber_id,
        channel=Channel.EMAIL,
        due_at=LATER,
        created_at=NOON,
    )
    return msgspec.structs.replace(made, **fields)


async def put(store: Any, *holds: Held) -> None:
    """Hold these, each in company."""
    if isinstance(store, MemoryNotifications):
        store.holds |= set(holds)
        return
    for number, one in enumerate(holds):
        event = Event(id="1", source="/s", time=NOON, tenant=one.tenant, eventid=one.event_id)
        batch = DeliveryBatch(event=event, channel=one.channel, subscribers=("bob", one.subscriber_id), chunk=number)
        await MongoHolds().put([Hold(str(uuid.uuid4()), one.due_at, batch)], one.created_at)


async def test_what_waits_for_one_person_is_forgotten(store: Any) -> None:
    """Not what waits for others, on other channels, or is being released."""
    if isinstance(store, MemoryNotifications):
        others = {held(channel=Channel.SMS), held(event_id="f")}
        store.holds = {held(), *others}
    else:
        holds = [
            {"id": "email", "channel": "EMAIL", "size": 1},
            {"id": "sms", "channel": "SMS", "size": 1},
            {"id": "many", "channel": "EMAIL", "size": 2},
            {"id": "leased", "channel": "EMAIL", "size": 1, "lease_until": LATER},
        ]
        common = {
            "tenant": "acme",
            "event_id": "e",
            "lane": "standard",
            "due_at": LATER,
            "batch": b"",
            "created_at": NOON,
        }
        for hold in holds:
            await ScheduledDocument(**{**common, **hold}).insert()

    await store.forget_holds("acme", "e", [Channel.EMAIL])
    await store.forget_holds("other", "e", [Channel.SMS])

    if isinstance(store, MemoryNotifications):
        assert store.holds == others
    else:
        left = {found["_id"] async for found in collection_of(ScheduledDocument).find({})}
        assert left == {"sms", "many", "leased"}


async def test_the_dispatcher_and_the_api_mean_the_same_documents(stack: Any, database_name: str) -> None:
    """What one claims and settles, the other reads; what one cancels, the other finds claimed."""
    event = Event(id="1", source="/s", time=NOON, tenant="acme", eventid="e")
    works = [
        Work(event, Channel.EMAIL, name, keys.delivery_id("e", name, Channel.EMAIL, MAIN_ENDPOINT))
        for name in ("ada", "ben")
    ]
    lease = Lease("us", NOON, LATER)
    async with open_database(MongoSettings(uri=stack.mongodb_uri, db=database_name), create_indexes=True):
        api, dispatcher = MongoNotifications(), MongoDeliveryStore()
        cancelled = delivery(works[1].delivery_id, State.CANCELLED, subscriber_id="ben")
        await api.insert(cancelled)
        assert await dispatcher.insert([(work, lease) for work in works]) == {works[1].delivery_id}
        receipt = Receipt(channel=Channel.EMAIL, status=ReceiptStatus.DELIVERED)
        await api.move(works[0].delivery_id, receipt.state, FROM[receipt.state], NOON, "", "")
        settlement = Settlement(
            Claim(works[0], 1, 1, LATER),
            Settle(State.SENT, provider_message_id="m1"),
            NOON,
            Tried(NOON, "http", timedelta(milliseconds=3), "accepted"),
        )
        assert await dispatcher.settle([settlement]) == 0  # the receipt was faster

        [found] = await api.deliveries(works[0].notification_id, "acme")
        assert (found.state, found.provider_message_id, found.attempts[0].answer) == (State.DELIVERED, "m1", "accepted")
        assert (await dispatcher.find([works[1].delivery_id]))[works[1].delivery_id].state is State.CANCELLED


def test_every_state_has_its_place_in_the_whole() -> None:
    assert sorted(PROGRESS) == sorted(State)
    assert overall([]) is State.QUEUED
    assert overall([State.UNDELIVERABLE, State.RETRYING]) is State.RETRYING
    assert overall([State.SENT, State.RETRYING, State.UNDELIVERABLE]) is State.SENT


def test_a_receipt_that_is_faster_than_our_write_finds_its_delivery() -> None:
    here = [
        delivery("a", channel=Channel.PUSH, endpoint="a", provider_message_id="m1"),
        delivery("b", channel=Channel.PUSH, endpoint="b"),
    ]

    def named(message: str) -> list[str]:
        receipt = Receipt(channel=Channel.PUSH, status=ReceiptStatus.DELIVERED, provider_message_id=message)
        return [each.id for each in concerned(receipt, here)]

    assert (named("m1"), named("m2"), named("")) == (["a"], ["b"], ["a", "b"])
    assert concerned(Receipt(channel=Channel.SMS, status=ReceiptStatus.DELIVERED), here) == []
