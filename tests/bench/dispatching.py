"""A dispatcher in this process, wired as in production but for its providers, on a real Kafka and the database server
of `make run`: what the benchmarks of dispatch share."""

import asyncio
import tempfile
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
from aiokafka import AIOKafkaProducer
from pymongo import AsyncMongoClient

from deploy.local.servers import StackAddress, own_kafka, own_mongo
from libs.common.adapters.kafka.admin import apply_topics
from libs.common.domain import keys
from libs.common.domain.channels import MAIN_ENDPOINT, Channel
from libs.common.domain.messages import Content, Event
from libs.common.domain.outcome import Accepted, Outcome
from libs.common.domain.retry import UnknownPolicy
from libs.common.observability.logging import configure_logging
from libs.common.settings import KafkaSettings, MongoSettings, TopicSettings
from libs.common.testing.waiting import eventually
from services.dispatcher.app import Wiring
from services.dispatcher.channels import CHANNELS, Entry
from services.dispatcher.channels.base import Message
from services.dispatcher.settings import DispatchSettings, ProviderSettings, Settings

Behave = Callable[[Message], Awaitable[Outcome]]


class Stub:
    """A provider in this process; notes when each delivery was first offered to it and first accepted by it."""

    provider = "stub"

    def __init__(self, behave: Behave | None = None) -> None:
        self.behave = behave
        self.offered: dict[str, float] = {}
        self.accepted: dict[str, float] = {}

    async def send(self, message: Message) -> Outcome:
        """Accept at once, or behave as told."""
        self.offered.setdefault(message.delivery_id, time.time())
        outcome = await self.behave(message) if self.behave else Accepted("m")
        if isinstance(outcome, Accepted):
            self.accepted.setdefault(message.delivery_id, time.time())
        return outcome


class Bench:
    """Settings, people and a producer of one run, with topics and a database of its own."""

    def __init__(self, settings: Settings, producer: AIOKafkaProducer) -> None:
        self.settings = settings
        self.topics = settings.topics.topics
        self.producer = producer

    async def append(self, records: Iterable[tuple[str, msgspec.Struct, str]]) -> None:
        """Put (topic, value, key) on the log, in order; returns once all are acknowledged."""
        sent = [
            await self.producer.send(topic, msgspec.json.encode(value), key=key.encode())
            for topic, value, key in records
        ]
        await asyncio.gather(*sent)

    async def subscribe(self, *names: str) -> None:
        """People who can be reached on every channel."""
        now = datetime.now(UTC)
        async with AsyncMongoClient[dict[str, object]](self.settings.mongo.uri) as client:
            await client[self.settings.mongo.db].subscribers.insert_many(
                [
                    {
                        "_id": f"acme:{name}",
                        "tenant": "acme",
                        "subscriber_id": name,
                        "ordinal": number,
                        "active": True,
                        "email": f"{name}@example.org",
                        "phone": "+491701234567",
                        "created_at": now,
                        "updated_at": now,
                    }
                    for number, name in enumerate(names)
                ]
            )

    @asynccontextmanager
    async def dispatcher(self, stubs: Mapping[Channel, Stub]) -> AsyncIterator[Wiring]:
        """A dispatcher with these providers, from its start to its orderly stop."""
        before = dict(CHANNELS)
        for channel, stub in stubs.items():
            CHANNELS[channel] = Entry(lambda _settings, _tools, stub=stub: [stub], UnknownPolicy.RETRY)
        wiring = Wiring(self.settings)
        try:
            async with wiring.app().start_lifespan_context():
                await eventually(lambda: all(line.offsets.assigned for line in wiring.lines), 60)
                yield wiring
        finally:
            CHANNELS.update(before)


def event_of(number: int) -> Event:
    """An event of no importance."""
    return Event(
        id=str(number),
        source="/bench",
        time=datetime.now(UTC),
        tenant="acme",
        eventid=keys.event_id("acme", "/bench", str(number)),
        topic="orders",
        data=Content(title=f"Number {number}", content="x" * 300),
    )


def delivery_of(event: Event, subscriber: str, channel: Channel) -> str:
    """The delivery id of an event for one subscriber."""
    return keys.delivery_id(event.eventid, subscriber, channel, MAIN_ENDPOINT)


@asynccontextmanager
async def open_bench(
    stack: StackAddress, channels: tuple[Channel, ...], tiers: tuple[timedelta, ...], timeout_ms: int = 5_000
) -> AsyncIterator[Bench]:
    """Fresh topics and a fresh database."""
    name = uuid.uuid4().hex[:8]
    kafka = KafkaSettings(bootstrap_servers=stack.kafka_bootstrap_servers, partitions=4)
    settings = Settings(
        kafka=kafka,
        topics=TopicSettings(topic_prefix=f"b-{name}.", retry_schedule=tiers),
        mongo=MongoSettings(uri=stack.mongodb_uri, db=f"b_{name}"),
        dispatch=DispatchSettings(channels=channels),
        provider=ProviderSettings(timeout_ms=timeout_ms),
    )
    await apply_topics(kafka, settings.topics)
    producer = AIOKafkaProducer(bootstrap_servers=stack.kafka_bootstrap_servers, acks="all", linger_ms=5)
    await producer.start()
    try:
        yield Bench(settings, producer)
    finally:
        await producer.stop()


@contextmanager
def bench_stack() -> Iterator[StackAddress]:
    """A Kafka and a durable database of the benchmark's own; only warnings are logged."""
    configure_logging("bench", "error")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        with own_kafka(path / "kafka") as (_, servers), own_mongo(path / "mongo") as (_, uri):
            yield StackAddress(servers, uri)


def percentiles(seconds: list[float]) -> dict[str, float]:
    """Of a distribution, in milliseconds."""
    ordered = sorted(seconds)
    found = {name: ordered[min(len(ordered) - 1, int(len(ordered) * share))] for name, share in _SHARES.items()}
    return {name: round(each * 1000, 1) for name, each in {**found, "max": ordered[-1]}.items()}


_SHARES = {"p50": 0.5, "p90": 0.9, "p99": 0.99}
