"""One running platform for all end-to-end tests, and somebody to use it."""

from collections.abc import AsyncIterator, Iterator

import pytest

from deploy.local.platform import Platform, open_platform
from deploy.local.servers import StackAddress
from libs.common.settings import TopicSettings
from libs.common.testing.driver import Driver
from libs.common.testing.log_reader import LogReader
from libs.common.topics import Topics

SETTINGS = {"RETRY_SCHEDULE": "400ms,700ms,3s", "PROVIDER_BREAKER_WINDOW": "2s"}
"""Retries that a test can wait for. A breaker must be able to open before the last of them: one that still remembers
the calls of the test before sees an outage only after as many failures, and messages would die of it."""


@pytest.fixture(scope="session")
def platform(stack: StackAddress, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """Every process of Sigmora, on its own ports and names, with short retries."""
    with open_platform(tmp_path_factory.mktemp("platform"), stack, SETTINGS) as running:
        yield running


@pytest.fixture(scope="session")
def log(stack: StackAddress) -> LogReader:
    """The log, from outside."""
    return LogReader(stack.kafka_bootstrap_servers)


@pytest.fixture(scope="session")
def topics(platform: Platform) -> Topics:
    """The platform's topics."""
    prefix, schedule = platform.environ["TOPIC_PREFIX"], platform.environ["RETRY_SCHEDULE"]
    return TopicSettings.model_validate({"topic_prefix": prefix, "retry_schedule": schedule}).topics


@pytest.fixture(scope="session")
async def session_driver(platform: Platform, log: LogReader, topics: Topics) -> AsyncIterator[Driver]:
    """Connections that last for the run."""
    urls = (platform.url("api"), platform.url("simulator"), platform.url("router"))
    driver = Driver(*urls, platform.api_key, log, topics)
    yield driver
    await driver.close()


@pytest.fixture
async def sigmora(session_driver: Driver) -> AsyncIterator[Driver]:
    """The platform as its users have it; the simulator behaves again afterwards."""
    yield session_driver
    await session_driver.healthy()
