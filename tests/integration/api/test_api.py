"""The API on the real Kafka and MongoDB: what it acknowledges is there, and what was away is healed."""

import asyncio
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from httpx import ASGITransport, AsyncClient, ConnectError

from deploy.local.ports import find_free_port
from libs.common.adapters.kafka.admin import open_admin, plan, wanted
from libs.common.adapters.mongo.api_keys import MongoApiKeys
from libs.common.clock import utc_now
from libs.common.domain.api_keys import Scope
from libs.common.domain.channels import Lane
from libs.common.domain.messages import Event, SubscriberChanged
from libs.common.settings import KafkaSettings, MongoSettings, TopicSettings
from services.api.app import create_app
from services.api.settings import ApiSettings

pytestmark = pytest.mark.integration

KEY = "sk_integration_0123456789abcdef0123456789abcdef"
AUTH = {"X-API-Key": KEY}
PERSON = {"email": "ada@example.com", "password": "password123", "preferences": {"topic": ["tech"]}}
EVENT = {"id": "1", "source": "/shop", "topic": "tech", "title": "Hello"}


@pytest.fixture
async def settings(stack: Any, topic_prefix: str, database_name: str) -> ApiSettings:
    """Settings of an API with topics and a database of its own."""
    found = ApiSettings(
        env="test",
        secret_key="0f1e2d3c4b5a69788796a5b4c3d2e1f0",
        kafka=KafkaSettings(bootstrap_servers=stack.kafka_bootstrap_servers),
        topics=TopicSettings(topic_prefix=topic_prefix),
        mongo=MongoSettings(uri=stack.mongodb_uri, db=database_name),
        outbox_interval=timedelta(milliseconds=100),
    )
    topics = found.topics.topics
    names = {topics.subscriptions, *(topics.events(lane) for lane in Lane)}
    wants = [wanted(topic, found.kafka) for topic in topics.table() if topic.name in names]
    async with open_admin(found.kafka) as admin:
        await admin.apply(plan(wants, {}), {want.name: want for want in wants})
    return found


@pytest.fixture
async def start() -> AsyncIterator[Callable[[ApiSettings], Awaitable[AsyncClient]]]:
    """Starts APIs; they are stopped at the end."""
    end = asyncio.Event()
    running: list[asyncio.Task[None]] = []

    async def serve(settings: ApiSettings, started: asyncio.Future[AsyncClient]) -> None:
        # Not Litestar's client: it has an event loop of its own, and Beanie's documents are bound to one. A task of
        # its own, since a lifespan must be left by the task that entered it.
        app = create_app(settings)
        transport = ASGITransport(app, raise_app_exceptions=False)
        async with app.lifespan(), AsyncClient(transport=transport, base_url="http://api") as client:
            started.set_result(client)
            await end.wait()

    async def start_one(settings: ApiSettings) -> AsyncClient:
        started: asyncio.Future[AsyncClient] = asyncio.get_running_loop().create_future()
        running.append(asyncio.create_task(serve(settings, started)))
        return await started

    yield start_one
    end.set()
    await asyncio.gather(*running)


@pytest.fixture
def black_hole() -> Iterator[str]:
    """An address that takes connections and never answers."""
    with socket.socket() as hole:
        hole.bind(("127.0.0.1", 0))
        hole.listen(64)
        yield f"127.0.0.1:{hole.getsockname()[1]}"


def without_kafka(settings: ApiSettings, address: str) -> ApiSettings:
    """The same settings, with brokers that do not answer."""
    kafka = KafkaSettings(bootstrap_servers=address, request_timeout=timedelta(milliseconds=500))
    return settings.model_copy(update={"kafka": kafka})


async def read(settings: ApiSettings, topic: str, count: int = 1) -> list[Any]:
    """The first `count` records of a topic, or more; waits for them."""
    consumer = AIOKafkaConsumer(bootstrap_servers=settings.kafka.bootstrap_servers, auto_offset_reset="earliest")
    await consumer.start()
    try:
        consumer.assign([TopicPartition(topic, n) for n in range(settings.kafka.partitions)])
        records: list[Any] = []
        async with asyncio.timeout(30):
            while len(records) < count:
                batches = await consumer.getmany(timeout_ms=100)
                records += [record for batch in batches.values() for record in batch]
        return records
    finally:
        await consumer.stop()


async def test_a_subscription_is_on_the_log_and_the_person_can_log_in(settings: ApiSettings, start: Any) -> None:
    client = await start(settings)

    assert (await client.post("/subscribe", json=PERSON)).status_code == 200

    [record] = await read(settings, settings.topics.topics.subscriptions)
    changed = msgspec.json.decode(record.value, type=SubscriberChanged)
    assert record.key == f"default:{changed.subscriber_id}".encode()
    assert changed.active
    assert changed.subscriptions[0].pattern == {"topic": ["tech", {"prefix": "tech/"}]}
    form = {"username": "ADA@example.com", "password": "password123"}
    token = (await client.post("/token", data=form)).json()["access_token"]
    me = {"Authorization": f"Bearer {token}"}
    assert (await client.get("/preferences", headers=me)).json()["topic"] == ["tech"]
    assert (await client.get("/notifications", headers=me)).json() == {"items": [], "next_cursor": None}
    assert (await client.post("/unsubscribe", headers=me)).status_code == 200
    assert (await client.get("/stats")).json() == {"subscribers": 0}
    assert (await client.get("/health")).json() == {"status": "ok", "kafka": "ok", "mongo": "ok"}


async def test_many_who_come_at_once_with_one_address_make_one_account(settings: ApiSettings, start: Any) -> None:
    clients = [await start(settings), await start(settings)]

    answers = await asyncio.gather(*(clients[n % 2].post("/subscribe", json=PERSON) for n in range(6)))

    assert {answer.status_code for answer in answers} == {200}
    assert (await clients[0].get("/stats")).json() == {"subscribers": 1}


async def test_an_acknowledged_event_is_on_the_log(settings: ApiSettings, start: Any) -> None:
    client = await start(settings)
    await MongoApiKeys().create("acme", "test", [Scope.EVENTS], utc_now(), key=KEY)

    answer = await client.post("/v1/events", json=EVENT, headers=AUTH)
    again = await client.post("/v1/events", json=EVENT, headers=AUTH)
    other = await client.post("/v1/events", json={**EVENT, "title": "Other"}, headers=AUTH)

    assert [a.status_code for a in (answer, again, other)] == [202, 202, 422]
    records = await read(settings, settings.topics.topics.events(Lane.STANDARD), 2)
    assert {record.key.decode() for record in records} == {answer.json()["id"]}
    assert msgspec.json.decode(records[0].value, type=Event).tenant == "acme"
    progress = await client.get(answer.headers["location"], headers=AUTH)
    assert progress.json()["status"] == "accepted"


async def test_a_batch_of_a_thousand_is_on_the_log(settings: ApiSettings, start: Any) -> None:
    client = await start(settings)
    await MongoApiKeys().create("acme", "test", [Scope.EVENTS], utc_now(), key=KEY)
    events = [{"id": str(n), "topic": "t", "title": "x", "lane": "bulk"} for n in range(1_000)]

    answer = await client.post("/v1/events:batch", json={"events": events}, headers=AUTH)

    assert answer.status_code == 202, answer.text
    records = await read(settings, settings.topics.topics.events(Lane.BULK), 1_000)
    assert {record.key.decode() for record in records} == {event["id"] for event in answer.json()["events"]}


async def test_without_kafka_events_are_refused_people_are_not_and_both_heal(
    settings: ApiSettings, start: Any, black_hole: str
) -> None:
    cut_off = await start(without_kafka(settings, black_hole))
    await MongoApiKeys().create("acme", "test", [Scope.EVENTS], utc_now(), key=KEY)

    refused = await cut_off.post("/v1/events", json=EVENT, headers=AUTH)
    subscribed = await cut_off.post("/subscribe", json=PERSON)

    assert (refused.status_code, refused.headers["retry-after"]) == (503, "2")
    assert subscribed.status_code == 200
    assert (await cut_off.get("/readyz")).status_code == 503
    assert (await cut_off.get("/health")).json()["kafka"] == "unavailable"

    healed = await start(settings)
    assert (await healed.post("/v1/events", json=EVENT, headers=AUTH)).status_code == 202
    [record] = await read(settings, settings.topics.topics.subscriptions)
    assert msgspec.json.decode(record.value, type=SubscriberChanged).active


async def test_an_erased_person_leaves_a_tombstone_and_no_trace(
    settings: ApiSettings, start: Any, mongo_client: Any
) -> None:
    client = await start(settings)
    await MongoApiKeys().create("default", "test", [Scope.SUBSCRIBERS], utc_now(), key=KEY)
    await client.post("/subscribe", json=PERSON)
    [record] = await read(settings, settings.topics.topics.subscriptions)
    subscriber_id = record.key.decode().removeprefix("default:")

    assert (await client.delete(f"/v1/subscribers/{subscriber_id}", headers=AUTH)).status_code == 204

    records = await read(settings, settings.topics.topics.subscriptions, 2)
    assert [(r.key, r.value is None) for r in records] == [(record.key, False), (record.key, True)]
    database = mongo_client[settings.mongo.db]
    assert "ada@example.com" not in str([list(database[name].find()) for name in database.list_collection_names()])


async def test_a_database_that_never_answers_is_told_as_503_in_time(black_hole: str) -> None:
    """In a process of its own, as it is started in production."""
    port = str(find_free_port())
    environment = {
        **os.environ,
        "ENV": "dev",
        "API_PORT": port,
        "MONGODB_URI": f"mongodb://{black_hole}/",
        "MONGODB_TIMEOUT": "300ms",
        "KAFKA_BOOTSTRAP_SERVERS": black_hole,
        "KAFKA_REQUEST_TIMEOUT": "300ms",
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "services.api", env=environment, stdout=asyncio.subprocess.DEVNULL
    )
    try:
        async with AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=10) as client:
            await answering(client)
            answers = [
                await client.post("/subscribe", json=PERSON),
                await client.get("/stats"),
                await client.post("/v1/events", json=EVENT, headers=AUTH),
            ]
            health = await client.get("/health")
    finally:
        process.terminate()
        ended = await process.wait()

    assert [(answer.status_code, answer.headers["retry-after"]) for answer in answers] == [(503, "2")] * 3
    assert health.json() == {"status": "degraded", "kafka": "unavailable", "mongo": "unavailable"}
    assert ended in (0, -signal.SIGTERM)


async def answering(client: AsyncClient) -> None:
    """Waits until the process listens."""
    async with asyncio.timeout(30):
        while True:
            try:
                assert (await client.get("/livez")).status_code == 200
                return
            except ConnectError:
                await asyncio.sleep(0.05)
