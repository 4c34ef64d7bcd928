"""How the router is wired, and in which order it comes up: database and log, then the whole index, then the consumers.
Until then it answers its probes and is not ready."""

import asyncio
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import structlog
from faststream.asgi import AsgiFastStream

from libs.common.adapters.kafka.changes import KafkaChanges
from libs.common.adapters.kafka.consuming import Consumption, build_broker
from libs.common.adapters.kafka.lag import measure_lag
from libs.common.adapters.kafka.log import KafkaLog
from libs.common.adapters.kafka.watchdog import watch
from libs.common.adapters.mongo.audiences import MongoAudiences
from libs.common.adapters.mongo.connect import Database, open_database, ping
from libs.common.adapters.mongo.scheduled import MongoHolds
from libs.common.adapters.mongo.wishes import MongoWishes
from libs.common.background import beside, run_beside
from libs.common.clock import Clock, utc_now
from libs.common.dead_letters import bury, dead_letter
from libs.common.domain.channels import Lane
from libs.common.domain.errors import Unavailable
from libs.common.domain.intake import accept_record
from libs.common.observability.metrics import Metrics
from libs.common.observability.probes import Check, probe_routes
from libs.common.ports import Received
from services.router.finishing import Finisher
from services.router.handler import Router
from services.router.live_index import LiveIndex
from services.router.publishing import CONSUMER, Publisher
from services.router.scheduler import Scheduler
from services.router.settings import Settings

_log = structlog.get_logger(__name__)

_LETTING_GO = 5.0
"""Seconds that a router which is being stopped waits for MongoDB and the group's coordinator."""


def create_app(settings: Settings, clock: Clock = utc_now) -> AsgiFastStream:
    """The router as an ASGI application; nothing is connected before its lifespan starts."""
    return Wiring(settings, clock).app()


class Wiring:
    """The parts of a router and how they hang together."""

    def __init__(self, settings: Settings, clock: Clock) -> None:
        self.settings = settings
        self.topics = settings.topics.topics
        self.metrics = Metrics()
        self.log = KafkaLog(settings.kafka)
        self.database: Database | None = None
        subscribers, audiences, holds = MongoWishes(), MongoAudiences(), MongoHolds()
        changes = KafkaChanges(settings.kafka, self.topics.subscriptions)
        self.live = LiveIndex(subscribers, changes, self.bury, self.metrics)
        self.finisher = Finisher(audiences, clock)
        publisher = Publisher(self.log, self.topics, self.finisher, holds, subscribers, self.metrics, clock)
        self.router = Router(
            self.live,
            audiences,
            subscribers,
            publisher,
            self.finisher,
            self.topics,
            self.metrics,
            clock,
            accept_record,
        )
        self.scheduler = Scheduler(holds, subscribers, self.log, self.topics, self.metrics, clock)
        self.broker = build_broker(
            settings.kafka,
            "sigmora-router",
            metadata_max_age=settings.router.ingest_discovery,
            before_start=self.live.loaded,
        )
        self.consumptions = [
            *(self._consume(f"router.{lane}", topics=[self.topics.events(lane)]) for lane in Lane),
            self._consume("router.ingest", pattern=rf"^{re.escape(self.topics.ingest_prefix)}.+"),
        ]

    async def bury(self, poison: Sequence[tuple[Received, str]]) -> None:
        """Write dead letters of unreadable changes."""
        letters = [dead_letter(record, self.topics.dead_letters, error, CONSUMER) for record, error in poison]
        await bury(self.log, letters)
        self.metrics.count("dead_letters", len(letters), consumer=CONSUMER)

    async def ping_database(self) -> None:
        """Raises `Unavailable` until MongoDB is there."""
        if self.database is None:
            raise Unavailable("MongoDB: not connected")
        await ping(self.database)

    def app(self) -> AsgiFastStream:
        """The application. FastStream calls `let_go`, stops the consumers, calls it again, then leaves the lifespan."""
        return AsgiFastStream(
            self.broker,
            lifespan=self.lifespan,
            on_shutdown=[self.let_go],
            after_shutdown=[self.let_go],
            logger=None,
            asgi_routes=probe_routes(self.checks(), self.metrics),
        )

    def checks(self) -> dict[str, Check]:
        """What must be there for the router to make progress."""
        return {
            "kafka": self.log.ready,
            "mongodb": self.ping_database,
            "index": self.live.ready,
            **{consumption.group_id: consumption.ready for consumption in self.consumptions},
        }

    @asynccontextmanager
    async def lifespan(self) -> AsyncIterator[None]:
        """Everything but the consumers, in the background: the probes answer while the database is waited for."""
        try:
            async with beside(self._run(), name="router"):
                yield
        finally:
            await self.log.close()

    async def let_go(self) -> None:
        """Mark and commit what is done, while there are consumers to commit by; and once there are none, mark what they
        have done since: it comes again, and is skipped."""
        try:
            async with asyncio.timeout(_LETTING_GO):
                await self.finisher.finish()
        except Exception as error:  # whatever it is, the consumers must be stopped in good order
            _log.warning("finisher.left_unmarked", error=str(error) or type(error).__name__)

    async def _run(self) -> None:
        async with open_database(self.settings.mongo) as database:
            self.database = database
            await run_beside(
                self.finisher.run(),
                self.live.run(),
                self.scheduler.run(),
                watch(self.consumptions),
                measure_lag(self.consumptions, self.metrics),
                name="router",
            )

    def _consume(self, group: str, *, topics: Sequence[str] = (), pattern: str | None = None) -> Consumption:
        async def handle(records: list[Received]) -> None:
            await self.router.handle(records, consumption.commit)

        consumption = Consumption(
            self.broker,
            handle,
            group_id=f"{self.topics.prefix}{group}",
            topics=topics,
            pattern=pattern,
            max_records=self.settings.router.max_records,
        )
        return consumption
