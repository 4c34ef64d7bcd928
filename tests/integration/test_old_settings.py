"""Every variable that the two older services had, set in the environment and read as a process reads it, does what it
was named for."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar, cast

import pytest
from joserfc import jwt
from joserfc.jwk import OctKey
from litestar.testing import AsyncTestClient
from typer.testing import CliRunner

from deploy.documents import PROCESSES, variables
from libs.common.adapters.cache.choosing import open_cache
from libs.common.adapters.http import open_outbound
from libs.common.adapters.mongo.connect import collection_of, open_database
from libs.common.adapters.mongo.documents import SubscriberDocument
from libs.common.caching import Cache
from libs.common.cli.app import app as command_line
from libs.common.domain.api_keys import DEV_API_KEY, Scope
from libs.common.domain.channels import Channel
from libs.common.domain.outcome import Accepted, NotNow, Outcome, Refused, Unknown
from libs.common.settings import CacheSettings, MongoSettings, read_settings
from libs.common.testing.memcached import memcached_double
from libs.common.testing.providers import Provider, answers, hangs, provider
from services.api import emitter
from services.api.settings import ApiSettings
from services.dispatcher.channels.tools import Tools
from services.dispatcher.settings import Settings
from services.dispatcher.wiring import senders_of
from tests.contract.messages_to_send import a_message
from tests.unit.api.conftest import World

pytestmark = pytest.mark.integration

T = TypeVar("T")
SECRET = "0f1e2d3c4b5a69788796a5b4c3d2e1f0"
OLD = {
    *(f"{channel}_PROVIDER_{name}" for channel in ("EMAIL", "SMS", "PUSH") for name in ("BASE_URL", "API_KEY")),
    "PROVIDER_TIMEOUT_MS",
    "PROVIDER_RETRYABLE_STATUS_CODES",
    "PROVIDER_CALLBACK_TOKEN",
    "CACHE_BACKEND",
    "CACHE_TTL_SECONDS",
    "MEMCACHE_HOST",
    "MEMCACHE_PORT",
    "MEMCACHE_TIMEOUT_MS",
    "CORS_ORIGINS",
    "ENV",
    "MONGODB_URI",
    "MONGODB_DB",
    "SECRET_KEY",
}
shown: set[str] = set()
"""The variables whose tests are in this file."""


def shows(*names: str) -> Callable[[T], T]:
    """This test shows what these variables do."""
    shown.update(names)
    return lambda test: test


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is set but what a test sets."""
    for model in PROCESSES.values():
        for name, _ in variables(model):
            monkeypatch.delenv(name, raising=False)


@pytest.fixture
def put(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Set variables."""

    def setting(**variables: str) -> None:
        for name, text in variables.items():
            monkeypatch.setenv(name, text)

    return setting


@pytest.fixture
async def server() -> AsyncIterator[Provider]:
    """A provider."""
    async with provider() as behaving:
        yield behaving


async def send(channel: Channel, to: str) -> Outcome:
    """What a dispatcher with this environment makes of one message."""
    async with open_outbound() as outbound:
        nobody = cast(Any, None)
        tools = Tools(outbound, outbound, nobody, nobody, lambda: datetime.now(UTC))
        preferred, *_ = senders_of(channel, read_settings(Settings), tools)
        return await preferred.send(a_message(channel, to))


@shows(*(f"{channel}_PROVIDER_{name}" for channel in ("EMAIL", "SMS", "PUSH") for name in ("BASE_URL", "API_KEY")))
@pytest.mark.parametrize(
    ("channel", "to"), [("EMAIL", "ann@example.org"), ("SMS", "+491701234567"), ("PUSH", "a-device-of-ann")]
)
async def test_a_channel_goes_to_its_provider_with_its_key(
    put: Callable[..., None], server: Provider, channel: str, to: str
) -> None:
    put(**{f"{channel}_PROVIDER_BASE_URL": f"{server.url}/v2/", f"{channel}_PROVIDER_API_KEY": "key-of-ours"})

    assert await send(Channel(channel), to) == Accepted("m-1")
    (headers, body), *more = server.requests
    assert (headers["authorization"], body["to"], more) == ("Bearer key-of-ours", to, [])


@shows("PROVIDER_TIMEOUT_MS")
async def test_a_provider_has_so_much_time(put: Callable[..., None], server: Provider) -> None:
    """One that never answers is given up, though the default would allow it longer than this test waits."""
    put(EMAIL_PROVIDER_BASE_URL=server.url, PROVIDER_TIMEOUT_MS="200")
    server.always = hangs

    async with asyncio.timeout(4):
        assert await send(Channel.EMAIL, "ann@example.org") == Unknown("timeout")


@shows("PROVIDER_RETRYABLE_STATUS_CODES")
@pytest.mark.parametrize(
    ("status", "outcome"), [(418, NotNow("http_418")), (501, NotNow("http_501")), (429, Refused("http_429"))]
)
async def test_listed_statuses_and_no_others_mean_later(
    put: Callable[..., None], server: Provider, status: int, outcome: Outcome
) -> None:
    put(EMAIL_PROVIDER_BASE_URL=server.url, PROVIDER_RETRYABLE_STATUS_CODES="418, 501")
    server.always = answers(f"{status} So")

    assert await send(Channel.EMAIL, "ann@example.org") == outcome


@dataclass
class Api:
    """An API with this environment, and what it stands on."""

    world: World
    client: AsyncTestClient[Any]


@asynccontextmanager
async def open_api() -> AsyncIterator[Api]:
    """An API with this environment."""
    world = World()
    async with AsyncTestClient(world.app(read_settings(ApiSettings))) as client:
        yield Api(world, client)


@shows("PROVIDER_CALLBACK_TOKEN")
async def test_receipts_are_taken_with_the_providers_token_alone(put: Callable[..., None]) -> None:
    put(SECRET_KEY=SECRET, PROVIDER_CALLBACK_TOKEN="ours-and-theirs-1f0a")
    receipt = {"channel": "EMAIL", "status": "DELIVERED"}

    async with open_api() as api:
        statuses = [
            (await api.client.post("/notifications/n/receipt", json=receipt, headers=headers)).status_code
            for headers in ({"X-Provider-Token": "ours-and-theirs-1f0a"}, {"X-Provider-Token": "guessed"}, {})
        ]

    assert statuses == [200, 401, 401]


@shows("PROVIDER_CALLBACK_TOKEN", "ENV")
@pytest.mark.parametrize(("env", "status"), [("dev", 200), ("prod", 401)])
async def test_without_a_token_only_a_developer_gets_receipts(put: Callable[..., None], env: str, status: int) -> None:
    put(ENV=env, SECRET_KEY=SECRET)

    async with open_api() as api:
        answer = await api.client.post("/notifications/n/receipt", json={"channel": "EMAIL", "status": "DELIVERED"})

    assert answer.status_code == status


@shows("CORS_ORIGINS")
async def test_browsers_may_call_from_the_origins_that_are_named(put: Callable[..., None]) -> None:
    put(SECRET_KEY=SECRET, CORS_ORIGINS="https://app.example.com, https://admin.example.com")

    async with open_api() as api:
        allowed = [
            (await api.client.get("/stats", headers={"Origin": origin})).headers.get("Access-Control-Allow-Origin")
            for origin in ("https://app.example.com", "https://admin.example.com", "https://elsewhere.example.com")
        ]

    assert allowed == ["https://app.example.com", "https://admin.example.com", None]


@shows("SECRET_KEY")
async def test_tokens_are_signed_with_the_key(put: Callable[..., None]) -> None:
    put(SECRET_KEY=SECRET)

    async with open_api() as api:
        api.world.client = api.client
        person = await api.world.person()

    token = jwt.decode(person["Authorization"].removeprefix("Bearer "), OctKey.import_key(SECRET))
    assert token.claims["aud"] == "sigmora-api"


@shows("SECRET_KEY", "PROVIDER_CALLBACK_TOKEN", "ENV")
@pytest.mark.parametrize(
    ("variable", "text"),
    [
        ("SECRET_KEY", ""),
        ("SECRET_KEY", "short-0123456789"),
        ("SECRET_KEY", "a" * 64),
        ("SECRET_KEY", "dev-only-signing-key-that-everybody-can-read"),
        ("PROVIDER_CALLBACK_TOKEN", "t0ken"),
        ("PROVIDER_CALLBACK_TOKEN", "changeme-0123456789"),
    ],
)
def test_a_weak_secret_is_refused_at_the_start_but_for_developers(
    put: Callable[..., None], capsys: pytest.CaptureFixture[str], variable: str, text: str
) -> None:
    put(**{"SECRET_KEY": SECRET, variable: text})

    with pytest.raises(SystemExit):
        read_settings(ApiSettings)
    said = capsys.readouterr().err
    assert said.startswith(f"{variable}: ")
    assert "unless ENV=dev" in said
    assert not text or text not in said
    put(ENV="dev")
    read_settings(ApiSettings)


@shows("ENV")
@pytest.mark.parametrize(("env", "status"), [("dev", 202), ("test", 401), ("prod", 401)])
async def test_the_key_that_everybody_can_read_is_good_for_developers_alone(
    put: Callable[..., None], env: str, status: int
) -> None:
    """A database that began as a developer's has it, and may become a customer's."""
    put(ENV=env, SECRET_KEY=SECRET)

    async with open_api() as api:
        await api.world.api_keys.create("acme", "development", list(Scope), api.world.now, key=DEV_API_KEY)
        event = {"topic": "tech", "title": "Hello"}
        answer = await api.client.post("/v1/events", json=event, headers={"X-API-Key": DEV_API_KEY})

    assert answer.status_code == status


@shows("ENV")
def test_the_seeder_and_the_emitter_refuse_unless_env_is_dev(
    put: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    put(ENV="prod", MONGODB_URI="mongodb://127.0.0.1:1/")

    assert CliRunner().invoke(command_line, ["seed"]).exit_code == 2
    assert emitter.main() == 2
    assert "ENV=dev only" in capsys.readouterr().err


ANN = ("people:ann", "contact")


async def remember(cache: Cache) -> bytes | None:
    """What a cache gives back of what it was given."""
    await cache.set(ANN, b"ann", await cache.get_many([ANN]))
    return dict((await cache.get_many([ANN])).values).get(ANN)


@shows("CACHE_BACKEND", "CACHE_TTL_SECONDS")
@pytest.mark.parametrize(
    ("backend", "ttl", "kept"),
    [("none", "60", None), ("lru", "60", b"ann"), ("lru", "0", None), ("memcache", "0", None)],
)
async def test_the_cache_that_is_named_keeps_what_it_should(
    put: Callable[..., None], backend: str, ttl: str, kept: bytes | None
) -> None:
    put(CACHE_BACKEND=backend, CACHE_TTL_SECONDS=ttl)

    async with open_cache(read_settings(CacheSettings)) as cache:
        assert await remember(cache) == kept


@shows("CACHE_BACKEND", "CACHE_TTL_SECONDS", "MEMCACHE_HOST", "MEMCACHE_PORT")
async def test_memcached_is_used_where_it_is_said_to_be(put: Callable[..., None]) -> None:
    async with memcached_double() as double:
        put(CACHE_BACKEND="memcache", CACHE_TTL_SECONDS="7", MEMCACHE_HOST="127.0.0.1", MEMCACHE_PORT=str(double.port))

        async with open_cache(read_settings(CacheSettings)) as cache:
            assert await remember(cache) == b"ann"

        assert 7 in double.exptimes.values()


@shows("MEMCACHE_TIMEOUT_MS")
async def test_memcached_has_so_much_time(put: Callable[..., None]) -> None:
    async with memcached_double() as double:
        double.fault = "hang"
        put(CACHE_BACKEND="memcache", MEMCACHE_PORT=str(double.port), MEMCACHE_TIMEOUT_MS="20")

        async with open_cache(read_settings(CacheSettings)) as cache, asyncio.timeout(4):
            assert await remember(cache) is None


@shows("MONGODB_URI", "MONGODB_DB")
async def test_the_database_is_the_one_that_is_named(
    put: Callable[..., None], stack: Any, database_name: str, mongo_client: Any
) -> None:
    put(MONGODB_URI=stack.mongodb_uri, MONGODB_DB=database_name)

    async with open_database(read_settings(MongoSettings)):
        await collection_of(SubscriberDocument).insert_one({"_id": "somebody"})

    assert [found["_id"] for found in mongo_client[database_name]["subscribers"].find()] == ["somebody"]


def test_no_old_variable_is_left_out() -> None:
    assert shown == OLD
