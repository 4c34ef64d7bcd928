"""How the dispatcher is wired: for each channel one line per lane, so that no lane waits for another, and one for all
of its retry tiers. It answers its probes at once; while the database or the log is away, its lines wait for them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial

import structlog
from aiokafka import ConsumerRebalanceListener
from faststream.asgi import AsgiFastStream

from libs.common.adapters.cache.choosing import open_cache
from libs.common.adapters.egress import Egress
from libs.common.adapters.http import open_outbound
from libs.common.adapters.kafka.consuming import Consumption, Handler, build_broker
from libs.common.adapters.kafka.lag import measure_lag
from libs.common.adapters.kafka.log import KafkaLog
from libs.common.adapters.kafka.watchdog import watch
from libs.common.adapters.mongo.connect import Database, open_database, ping
from libs.common.adapters.mongo.deliveries import MongoDeliveryStore
from libs.common.adapters.mongo.endpoints import MongoEndpoints
from libs.common.adapters.mongo.feed import MongoFeed
from libs.common.adapters.mongo.recipients import MongoRecipientStore
from libs.common.adapters.mongo.suppressions import MongoSuppressions
from libs.common.adapters.mongo.templates import MongoTemplates
from libs.common.background import beside, run_beside
from libs.common.caching import Cache
from libs.common.clock import Clock, utc_now
from libs.common.domain.channels import SEVERAL_ENDPOINTS, Channel, Lane
from libs.common.domain.deliveries import Work
from libs.common.domain.errors import Unavailable
from libs.common.observability.metrics import Metrics
from libs.common.observability.probes import Check, probe_routes
from libs.common.ports import Received
from libs.common.templates.catalogue import Catalogue
from services.dispatcher.channels.tools import Tools
from services.dispatcher.checking import Checker
from services.dispatcher.claims import Claimer
from services.dispatcher.expansion import Expander
from services.dispatcher.handler import Dispatcher, Route
from services.dispatcher.line import Connect, Graveyard, Line, LineLimits
from services.dispatcher.offsets import Pressure
from services.dispatcher.patience import Patience
from services.dispatcher.reading import read_batch, read_retry_record
from services.dispatcher.rendering import Links, Renderer
from services.dispatcher.retry_line import RetryLine
from services.dispatcher.rules import Rules
from services.dispatcher.settings import Settings
from services.dispatcher.settling import Settler
from services.dispatcher.sharing import SharedDeliveries, SharedRecipients
from services.dispatcher.wiring import build_route

_log = structlog.get_logger(__name__)

_BATCHES_PER_POLL = 200
_GATHERING = 0.1
"""Seconds, for a channel that sends a group by one call. Nobody sees them in a feed; with 50 events a second they made
p99 of the e-mails 195 ms instead of 255 on two slow cores."""
_RETRIES_IN_HAND = Pressure(high=1000, low=250)
"""What waits before the gate is one delivery each: many may, so that a tier is not read anew for every few."""


def create_app(settings: Settings, clock: Clock = utc_now) -> AsgiFastStream:
    """The dispatcher as an ASGI application; nothing is connected before its lifespan starts."""
    return Wiring(settings, clock).app()


class Wiring:
    """The parts of a dispatcher and how they hang together."""

    def __init__(self, settings: Settings, clock: Clock = utc_now) -> None:
        self.settings = settings
        self.topics = settings.topics.topics
        self.clock = clock
        self.metrics = Metrics()
        self.patience = Patience()
        self.log = KafkaLog(settings.kafka)
        self.broker = build_broker(settings.kafka, "sigmora-dispatcher")
        self.deliveries = SharedDeliveries(MongoDeliveryStore())
        self.recipients = SharedRecipients(MongoRecipientStore())
        self.database: Database | None = None
        self.lines: list[Line] = []
        self.settlers: list[Settler] = []
        self.consumptions: list[Consumption] = []

    def app(self) -> AsgiFastStream:
        """The application. FastStream calls `let_go`, stops the consumers, then leaves the lifespan."""
        return AsgiFastStream(
            self.broker,
            lifespan=self.lifespan,
            on_shutdown=[self.let_go],
            logger=None,
            asgi_routes=probe_routes(self.checks(), self.metrics),
        )

    def checks(self) -> dict[str, Check]:
        """What must be there for the dispatcher to make progress."""
        return {
            "kafka": self.log.ready,
            "mongodb": self.ping_database,
            "consumers": self.consumers_ready,
            "work": self.patience.ready,
        }

    async def ping_database(self) -> None:
        """Raises `Unavailable` until MongoDB is there."""
        if self.database is None:
            raise Unavailable("MongoDB: not connected")
        await ping(self.database)

    async def consumers_ready(self) -> dict[str, int]:
        """Partitions of every consumer; raises `Unavailable` while one can make no progress."""
        return {each.group_id: (await each.ready())["partitions"] for each in self.consumptions}

    @asynccontextmanager
    async def lifespan(self) -> AsyncIterator[None]:
        """The lines; the consumers start within."""
        webhook = self.settings.webhook
        egress = Egress(frozenset(webhook.allowed_ports), webhook.allow_http, webhook.allow_private)
        async with open_outbound() as outbound, open_outbound(egress) as guarded, AsyncExitStack() as at_end:
            cache = await at_end.enter_async_context(open_cache(self.settings.cache))
            self.add_lines(
                Tools(outbound, guarded, MongoFeed(), MongoEndpoints(), self.clock, at_end), self._renderer(cache)
            )
            for line in self.lines:
                line.start()
            try:
                async with beside(self._run(), name="dispatcher"):
                    yield
            finally:
                await self.log.close()

    async def let_go(self) -> None:
        """Finish what is being sent, and commit. FastStream does not tell a listener that it stops."""
        await asyncio.gather(*(line.close() for line in self.lines))
        await asyncio.gather(*(settler.close() for settler in self.settlers))

    async def _run(self) -> None:
        async with open_database(self.settings.mongo) as database:
            self.database = database
            await run_beside(watch(self.consumptions), measure_lag(self.consumptions, self.metrics), name="dispatcher")

    def add_lines(self, tools: Tools, renderer: Renderer) -> None:
        """Make the lines of every channel that this process serves."""
        graveyard = Graveyard(self.log, self.topics.dead_letters, self.patience, self.metrics)
        for channel in self.settings.dispatch.channels:
            route = build_route(channel, self.settings, tools, self.metrics)
            expander = Expander(self.recipients, self.deliveries, self.patience)
            expand = expander.expand if channel in SEVERAL_ENDPOINTS else None
            for lane in Lane:
                connect = self._connect(channel, lane, self.topics.deliveries(channel, lane))
                story = self._dispatcher(route, renderer)
                limits = LineLimits(gathering=_GATHERING if route.flow.bulk is not None else 0.0)
                self.lines.append(Line(connect, partial(_batch, channel), story, graveyard, limits, expand))
            tiers = [self.topics.retry(channel, tier) for tier in range(1, len(self.topics.tiers) + 1)]
            self.lines.append(
                RetryLine(
                    channel,
                    self._connect(channel, "retry", *tiers),
                    partial(read_retry_record, channel, max(self.topics.tiers)),
                    self._dispatcher(route, renderer),
                    graveyard,
                    self.clock,
                    self.metrics,
                    LineLimits(pressure=_RETRIES_IN_HAND),
                )
            )

    def _renderer(self, cache: Cache) -> Renderer:
        links = Links(self.settings.links.public_base_url, self.settings.links.secret_key)
        return Renderer(Catalogue(MongoTemplates(), cache, self.clock), self.patience, links)

    def _dispatcher(self, route: Route, renderer: Renderer) -> Dispatcher:
        rules = Rules(self.topics, self.settings.topics.schedule, self.settings.lease)
        claimer = Claimer(self.deliveries, self.log, rules, route.policy, self.patience)
        settler = Settler(self.deliveries, self.log, self.topics, self.clock, self.patience, self.metrics)
        self.settlers.append(settler)
        return Dispatcher(
            route,
            rules,
            claimer,
            Checker(self.recipients, MongoSuppressions(), self.patience, self.clock),
            renderer,
            settler,
            self.clock,
            self.metrics,
        )

    def _connect(self, channel: Channel, line: str, *topics: str) -> Connect:
        group_id = f"{self.topics.prefix}dispatcher.{channel.lower()}.{line}"

        def connect(handler: Handler, listener: ConsumerRebalanceListener) -> Consumption:
            consumption = Consumption(
                self.broker,
                handler,
                group_id=group_id,
                topics=topics,
                max_records=_BATCHES_PER_POLL,
                listener=listener,
            )
            self.consumptions.append(consumption)
            return consumption

        return connect


def _batch(channel: Channel, record: Received) -> tuple[Work, ...]:
    return read_batch(record.value, record.headers, channel)
