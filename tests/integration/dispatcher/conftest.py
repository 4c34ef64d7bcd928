"""A dispatcher on the real Kafka and the real Mongo-compatible server, with a provider on a socket."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from aiokafka import AIOKafkaProducer

from libs.common.adapters.kafka.admin import apply_topics
from libs.common.adapters.kafka.sending import send
from libs.common.domain import keys
from libs.common.domain.channels import MAIN_ENDPOINT, Channel, Lane
from libs.common.domain.errors import Unavailable
from libs.common.domain.messages import Content, DeliveryBatch, Event
from libs.common.ports import Record
from libs.common.settings import KafkaSettings, MongoSettings, TopicSettings
from libs.common.testing.log_reader import LogReader
from libs.common.testing.providers import Provider, provider
from libs.common.testing.waiting import eventually
from services.dispatcher.app import Wiring
from services.dispatcher.settings import DispatchSettings, EmailSettings, FlowSettings, ProviderSettings, Settings

TIERS = (timedelta(milliseconds=200), timedelta(milliseconds=400))


class Town:
    """The servers, the people, and a dispatcher that can be started, stopped and started again."""

    def __init__(self, settings: Settings, database: Any, provider: Provider) -> None:
        self.settings = settings
        self.topics = settings.topics.topics
        self.database = database
        self.provider = provider
        self.producer = AIOKafkaProducer(bootstrap_servers=settings.kafka.bootstrap_servers, acks="all")
        self.log = LogReader(settings.kafka.bootstrap_servers)
        self.events = 0

    @asynccontextmanager
    async def dispatcher(self) -> AsyncIterator[Wiring]:
        """A dispatcher as a process would run it, until the block ends as on SIGTERM."""
        wiring = Wiring(self.settings)
        async with wiring.app().start_lifespan_context():
            await eventually(lambda: is_ready(wiring))
            yield wiring

    async def people(self, *names: str, active: bool = True) -> tuple[str, ...]:
        """Write subscribers."""
        now = datetime.now(UTC)
        await asyncio.to_thread(
            self.database.subscribers.insert_many,
            [
                {
                    "_id": f"acme:{name}",
                    "tenant": "acme",
                    "subscriber_id": name,
                    "ordinal": number,
                    "active": active,
                    "email": f"{name}@example.org",
                    "created_at": now,
                    "updated_at": now,
                }
                for number, name in enumerate(names)
            ],
        )
        return names

    def event(self, **fields: Any) -> Event:
        """A new event."""
        self.events += 1
        name = str(self.events)
        given: dict[str, Any] = {
            "id": name,
            "source": "/shop",
            "time": datetime.now(UTC),
            "tenant": "acme",
            "eventid": keys.event_id("acme", "/shop", name),
            "data": Content(title="Shipped", content="It is on its way"),
        }
        return Event(**(given | fields))

    async def publish(
        self,
        *subscribers: str,
        channel: Channel = Channel.EMAIL,
        lane: Lane = Lane.STANDARD,
        event: Event | None = None,
    ) -> list[str]:
        """Put a batch on the log; its delivery ids."""
        event = event or self.event(lane=lane)
        batch = DeliveryBatch(event=event, channel=channel, subscribers=subscribers)
        await self.append(self.topics.deliveries(channel, lane), msgspec.json.encode(batch))
        return [keys.delivery_id(event.eventid, each, channel, MAIN_ENDPOINT) for each in subscribers]

    async def append(
        self, topic: str, value: bytes | None, key: bytes | None = None, headers: Any = (), partition: int | None = None
    ) -> None:
        """Put anything on the log."""
        await (await send(self.producer, Record(topic, value, key, tuple(headers)), partition))

    async def states(self, *deliveries: str) -> list[str]:
        """The state of each delivery; empty for one that nobody has claimed."""
        found = await asyncio.to_thread(lambda: list(self.database.deliveries.find({"_id": {"$in": deliveries}})))
        by_id = {each["_id"]: each["state"] for each in found}
        return [by_id.get(each, "") for each in deliveries]

    async def delivery(self, delivery: str) -> dict[str, Any]:
        """One delivery, whole."""
        found: dict[str, Any] = await asyncio.to_thread(self.database.deliveries.find_one, {"_id": delivery})
        return found

    async def until(self, state: str, *deliveries: str, seconds: float = 60.0) -> None:
        """Wait until all deliveries are in `state`."""

        async def reached() -> bool:
            return set(await self.states(*deliveries)) == {state}

        await eventually(reached, seconds)


async def is_ready(wiring: Wiring) -> bool:
    """Whether every consumer runs: one that is stopped while it starts is not closed by its library."""
    try:
        return bool(await wiring.consumers_ready())
    except Unavailable:
        return False


@pytest.fixture
async def town(stack: Any, topic_prefix: str, database_name: str, mongo_client: Any) -> AsyncIterator[Town]:
    """Two channels, two short tiers, nobody in it."""
    async with provider() as behaving:
        kafka = KafkaSettings(bootstrap_servers=stack.kafka_bootstrap_servers, partitions=2)
        settings = Settings(
            kafka=kafka,
            topics=TopicSettings(topic_prefix=topic_prefix, retry_schedule=TIERS),
            mongo=MongoSettings(uri=stack.mongodb_uri, db=database_name),
            dispatch=DispatchSettings(channels=(Channel.EMAIL, Channel.INAPP)),
            provider=ProviderSettings(timeout_ms=1000),
            email=EmailSettings(provider_base_url=behaving.url, provider_api_key="key"),
            flow=FlowSettings(breaker_minimum_calls=0),
        )
        await apply_topics(kafka, settings.topics)
        town = Town(settings, mongo_client[database_name], behaving)
        await town.producer.start()
        try:
            yield town
        finally:
            await town.producer.stop()
