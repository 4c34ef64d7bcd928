"""Fills the API's ports with Kafka and MongoDB. Neither needs to be there at the start: until they are, calls that need
them are answered with 503, and nobody has to start the API again."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from libs.common.adapters.cache.choosing import open_cache
from libs.common.adapters.kafka.log import open_log
from libs.common.adapters.kafka.looking import KafkaRecords
from libs.common.adapters.mongo.accounts import MongoAccounts
from libs.common.adapters.mongo.api_keys import MongoApiKeys
from libs.common.adapters.mongo.claims import MongoClaims
from libs.common.adapters.mongo.connect import Database, open_database, ping
from libs.common.adapters.mongo.endpoints import MongoEndpoints
from libs.common.adapters.mongo.feed_pages import MongoFeedPages, MongoProgress
from libs.common.adapters.mongo.notifications import MongoNotifications
from libs.common.adapters.mongo.rate_limits import MongoRates
from libs.common.adapters.mongo.subscribers import MongoOrdinals, MongoSubscribers
from libs.common.adapters.mongo.suppressions import MongoSuppressions
from libs.common.adapters.mongo.templates import MongoTemplates
from libs.common.background import beside
from libs.common.clock import utc_now
from libs.common.domain.errors import Unavailable
from libs.common.settings import MongoSettings
from services.api.origins import LoggedEvents
from services.api.ports import Outside
from services.api.settings import ApiSettings

_USUALLY = 2.0
"""Seconds in which a database that is there has answered."""


class _Connection:
    """The database, once it is there."""

    def __init__(self) -> None:
        self._database: Database | None = None
        self.made = asyncio.Event()

    async def keep(self, settings: MongoSettings) -> None:
        """Connect and stay connected until cancelled."""
        try:
            async with open_database(settings, create_indexes=True) as database:
                self._database = database
                self.made.set()
                await asyncio.Event().wait()
        finally:
            self._database = None

    async def check(self) -> str:
        """Whether the server answers; raises `Unavailable`."""
        if self._database is None:
            raise Unavailable("MongoDB: not connected yet")
        await ping(self._database)
        return "ok"


@asynccontextmanager
async def open_outside(settings: ApiSettings) -> AsyncIterator[Outside]:
    """Kafka and MongoDB behind the ports, until the block ends."""
    connection = _Connection()
    async with open_log(settings.kafka) as log, open_cache(settings.cache) as cache:

        async def check_log() -> str:
            await log.ready()
            return "ok"

        async with beside(connection.keep(settings.mongo), name="database"):
            # Usually the database is there: then the first request must not find it missing.
            with suppress(TimeoutError):
                await asyncio.wait_for(connection.made.wait(), _USUALLY)
            yield Outside(
                log=log,
                subscribers=MongoSubscribers(),
                ordinals=MongoOrdinals(),
                accounts=MongoAccounts(),
                api_keys=MongoApiKeys(),
                claims=MongoClaims(),
                feed=MongoFeedPages(),
                progress=MongoProgress(),
                notifications=MongoNotifications(),
                suppressions=MongoSuppressions(),
                endpoints=MongoEndpoints(),
                templates=MongoTemplates(),
                cache=cache,
                rates=MongoRates(),
                logged=LoggedEvents(
                    MongoNotifications(), KafkaRecords(settings.kafka), settings.topics.topics, utc_now
                ),
                checks={"kafka": check_log, "mongo": connection.check},
            )
