"""An API on fakes: everything real but Kafka, MongoDB, the clock and the cost of hashing."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from argon2 import PasswordHasher
from httpx import Response
from litestar import Litestar
from litestar.testing import AsyncTestClient

from libs.common.adapters.cache.nothing import NoCache
from libs.common.caching import Cache
from libs.common.domain.api_keys import Scope
from libs.common.testing.claims import MemoryClaims
from libs.common.testing.credentials import MemoryAccounts, MemoryApiKeys
from libs.common.testing.emitted import MemoryEvents
from libs.common.testing.endpoints import MemoryEndpoints
from libs.common.testing.log import MemoryLog
from libs.common.testing.notifications import MemoryNotifications
from libs.common.testing.rate_limits import MemoryRates
from libs.common.testing.shown import MemoryFeedPages, MemoryProgress
from libs.common.testing.subscribers import MemoryOrdinals, MemorySubscribers
from libs.common.testing.suppressions import MemorySuppressions
from libs.common.testing.templates import MemoryTemplates
from services.api.app import create_app
from services.api.ports import Outside
from services.api.settings import ApiSettings
from services.api.wiring import Dice

PASSWORD = "password123"
PEPPERED = "sk_all_0123456789abcdef0123456789abcdef"


@dataclass
class World:
    """The fakes, the clock, and a client."""

    log: MemoryLog = field(default_factory=MemoryLog)
    subscribers: MemorySubscribers = field(default_factory=MemorySubscribers)
    ordinals: MemoryOrdinals = field(default_factory=MemoryOrdinals)
    accounts: MemoryAccounts = field(default_factory=MemoryAccounts)
    api_keys: MemoryApiKeys = field(default_factory=MemoryApiKeys)
    claims: MemoryClaims = field(default_factory=MemoryClaims)
    feed: MemoryFeedPages = field(default_factory=MemoryFeedPages)
    progress: MemoryProgress = field(default_factory=MemoryProgress)
    notifications: MemoryNotifications = field(default_factory=MemoryNotifications)
    templates: MemoryTemplates = field(default_factory=MemoryTemplates)
    suppressions: MemorySuppressions = field(default_factory=MemorySuppressions)
    logged: MemoryEvents = field(default_factory=MemoryEvents)
    cache: Cache = field(default_factory=NoCache)
    rates: MemoryRates = field(default_factory=MemoryRates)
    endpoints: MemoryEndpoints = field(default_factory=MemoryEndpoints)
    now: datetime = datetime(2030, 1, 1, 12, tzinfo=UTC)
    seconds: float = 0.0
    key: dict[str, str] = field(default_factory=lambda: {"X-API-Key": PEPPERED})
    client: AsyncTestClient[Litestar] = field(init=False)

    def pass_time(self, seconds: float) -> None:
        """Both clocks move."""
        self.now += timedelta(seconds=seconds)
        self.seconds += seconds

    def app(self, settings: ApiSettings | None = None, **changed: Any) -> Litestar:
        """An API on these fakes."""
        fixed: dict[str, Any] = {"env": "test", "secret_key": "0f1e2d3c4b5a69788796a5b4c3d2e1f0"}
        settings = settings or ApiSettings(**{**fixed, **changed})

        async def check() -> str:
            await self.log.append([])
            return "ok"

        @asynccontextmanager
        async def opener(_settings: ApiSettings) -> AsyncIterator[Outside]:
            yield Outside(
                log=self.log,
                subscribers=self.subscribers,
                ordinals=self.ordinals,
                accounts=self.accounts,
                api_keys=self.api_keys,
                claims=self.claims,
                feed=self.feed,
                progress=self.progress,
                notifications=self.notifications,
                suppressions=self.suppressions,
                endpoints=self.endpoints,
                templates=self.templates,
                cache=self.cache,
                rates=self.rates,
                logged=self.logged,
                checks={"kafka": check},
            )

        cheap = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
        return create_app(settings, opener, Dice(clock=lambda: self.now, monotonic=lambda: self.seconds, hasher=cheap))

    async def subscribe(self, email: str = "ada@example.com", password: str = PASSWORD, **more: Any) -> Response:
        """`POST /subscribe`."""
        return await self.client.post("/subscribe", json={"email": email, "password": password, **more})

    async def token(self, email: str = "ada@example.com", password: str = PASSWORD) -> dict[str, str]:
        """The headers of somebody who logged in."""
        answer = await self.client.post("/token", data={"username": email, "password": password})
        assert answer.status_code == 200, answer.text
        return {"Authorization": f"Bearer {answer.json()['access_token']}"}

    async def person(self, email: str = "ada@example.com") -> dict[str, str]:
        """Subscribes somebody and logs them in."""
        assert (await self.subscribe(email)).status_code == 200
        return await self.token(email)

    async def emit(self, body: Any = None, **headers: str) -> Response:
        """`POST /v1/events` in the plain form."""
        event = {"topic": "tech", "title": "Hello"} if body is None else body
        return await self.client.post("/v1/events", json=event, headers={**self.key, **headers})


@pytest.fixture
async def world() -> AsyncIterator[World]:
    """A running API on fakes, with a key of every scope for the tenant `acme`."""
    made = World()
    await made.api_keys.create("acme", "all", list(Scope), made.now, key=PEPPERED)
    async with AsyncTestClient(made.app()) as client:
        made.client = client
        yield made
