"""The whole router in this process, on the real Kafka and the real Mongo-compatible server."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from libs.common.adapters.kafka.admin import apply_topics
from libs.common.adapters.kafka.log import KafkaLog, open_log
from libs.common.adapters.mongo.connect import create_indexes
from libs.common.adapters.mongo.documents import SubscriberDocument
from libs.common.clock import Clock, utc_now
from libs.common.domain.channels import Channel, Lane
from libs.common.domain.keys import event_id
from libs.common.domain.messages import (
    Content,
    DecisionChunk,
    DeliveryBatch,
    Event,
    SubscriberChanged,
    WantedSubscription,
)
from libs.common.domain.subscribers import log_key
from libs.common.observability.probes import run_checks
from libs.common.ports import Record
from libs.common.settings import KafkaSettings, MongoSettings, TopicSettings
from libs.common.testing.log_reader import LogReader
from libs.common.testing.waiting import eventually
from services.router.app import Wiring
from services.router.settings import RouterSettings, Settings

TENANT = "acme"


@dataclass
class Site:
    """One prefix of topics and one database, and a router that can be started on them."""

    settings: Settings
    log: KafkaLog
    reader: LogReader
    clock: Clock = utc_now
    written: list[Event] = field(default_factory=list)

    @asynccontextmanager
    async def router(self) -> AsyncIterator[Wiring]:
        """A router that is ready."""
        wiring = Wiring(self.settings, self.clock)
        async with wiring.app().start_lifespan_context():

            async def ready() -> bool:
                return (await run_checks(wiring.checks()))[0]

            await eventually(ready, 30)
            yield wiring

    @property
    def topics(self) -> Any:
        return self.settings.topics.topics

    def an_event(self, number: int, **changes: Any) -> Event:
        content = Content(**{name: changes.pop(name) for name in ("recipients", "channels") if name in changes})
        known: dict[str, Any] = {"id": str(number), "source": "/shop", "time": utc_now(), "topic": "tech"}
        return Event(tenant=TENANT, eventid=event_id(TENANT, "/shop", str(number)), data=content, **known | changes)

    async def emit(self, *events: Event) -> None:
        """What the API does once it has accepted events."""
        await self.log.append(
            [Record(self.topics.events(e.lane), msgspec.json.encode(e), e.eventid.encode()) for e in events]
        )

    async def join(self, name: str, ordinal: int, topic: str, *, version: int = 1, **wanted: Any) -> None:
        """What the API does when somebody changes their preferences: the truth first, then the log."""
        subscription = WantedSubscription(
            name="default", pattern={"topic": [topic]}, channels=(Channel.EMAIL,), **wanted
        )
        changed = SubscriberChanged(
            tenant=TENANT,
            subscriber_id=name,
            ordinal=ordinal,
            version=version,
            active=True,
            subscriptions=(subscription,),
        )
        await SubscriberDocument.get_pymongo_collection().replace_one(
            {"_id": f"{TENANT}:{name}"}, {"_id": f"{TENANT}:{name}", **msgspec.to_builtins(changed)}, upsert=True
        )
        await self.log.append([Record(self.topics.subscriptions, msgspec.json.encode(changed), log_key(TENANT, name))])

    async def deliveries(self) -> list[tuple[str, str, str]]:
        """(event, subscriber, channel) of everything on the delivery topics, repetitions too."""
        found = []
        for channel in (Channel.EMAIL, Channel.SMS):
            for record in await self.reader.read(self.topics.deliveries(channel, Lane.STANDARD)):
                batch = msgspec.json.decode(record.value or b"", type=DeliveryBatch)
                found += [(batch.event.id, name, str(batch.channel)) for name in batch.subscribers]
        return sorted(found)

    async def decisions(self, event: Event) -> list[DecisionChunk]:
        """What was said of an event."""
        records = await self.reader.read(self.topics.decisions)
        said = [msgspec.json.decode(record.value or b"", type=DecisionChunk) for record in records]
        return [one for one in said if one.event_id == event.eventid]

    async def decided(self, *events: Event) -> None:
        """Waits until each event is behind a committed offset: by then everything that follows from it is written."""
        lanes = {event.lane for event in events}
        topics = [(self.topics.events(lane), f"{self.topics.prefix}router.{lane}") for lane in lanes]

        async def all_committed() -> bool:
            return all(
                [await self.reader.committed(group, name) == await self.reader.ends(name) for name, group in topics]
            )

        await eventually(all_committed)


async def heard(wiring: Wiring, name: str, version: int = 1) -> None:
    """Waits until the router's index has this version of a subscriber."""

    def known() -> bool:
        subscriber = wiring.live.index.subscriber(TENANT, name)
        return subscriber is not None and subscriber.version >= version

    await eventually(known)


@pytest.fixture
def until_heard() -> Callable[..., Awaitable[None]]:
    return heard


@pytest.fixture
async def site(stack: Any, topic_prefix: str, database_name: str) -> AsyncIterator[Site]:
    kafka = KafkaSettings(bootstrap_servers=stack.kafka_bootstrap_servers, partitions=2)
    topics = TopicSettings(topic_prefix=topic_prefix, retry_schedule=(timedelta(seconds=1),))
    mongo = MongoSettings(uri=stack.mongodb_uri, db=database_name)
    settings = Settings(
        kafka=kafka, topics=topics, mongo=mongo, router=RouterSettings(ingest_discovery=timedelta(milliseconds=500))
    )
    await asyncio.gather(apply_topics(kafka, topics), create_indexes(mongo))
    async with open_log(kafka) as log:
        yield Site(settings, log, LogReader(stack.kafka_bootstrap_servers))


@pytest.fixture
def shifted() -> Callable[[timedelta], Clock]:
    """A clock that is ahead."""
    return lambda ahead: lambda: utc_now() + ahead
