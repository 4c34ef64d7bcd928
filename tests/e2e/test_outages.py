"""Kafka goes away and comes back; nobody starts anything again."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from deploy.local.platform import Platform, open_platform
from deploy.local.server import Server
from deploy.local.servers import StackAddress, own_kafka
from libs.common.settings import TopicSettings
from libs.common.testing.driver import Driver, eventually
from libs.common.testing.log_reader import LogReader

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("e2e")]


@pytest.fixture(scope="module")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, str]]:
    with own_kafka(tmp_path_factory.mktemp("kafka")) as kafka:
        yield kafka


@pytest.fixture(scope="module")
def own(kafka: tuple[Server, str], stack: StackAddress, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    address = StackAddress(kafka[1], stack.mongodb_uri)
    folder: Path = tmp_path_factory.mktemp("own")
    with open_platform(folder, address, {"KAFKA_REQUEST_TIMEOUT": "2s", "KAFKA_PARTITIONS": "1"}) as platform:
        yield platform


@pytest.fixture
async def driver(own: Platform, kafka: tuple[Server, str]) -> AsyncIterator[Driver]:
    topics = TopicSettings.model_validate({"topic_prefix": own.environ["TOPIC_PREFIX"]}).topics
    urls = (own.url("api"), own.url("simulator"), own.url("router"))
    driver = Driver(*urls, own.api_key, LogReader(kafka[1]), topics)
    yield driver
    await driver.close()


@pytest.mark.parametrize("how", ["kill", "stop"])
async def test_without_kafka_an_event_is_not_accepted_and_with_it_all_goes_on(
    driver: Driver, kafka: tuple[Server, str], how: str
) -> None:
    server, _ = kafka
    topic = secrets.token_hex(6)
    person = await driver.subscribe(topic=[topic])
    await driver.accepted(topic=topic, title="before")
    await driver.arrived(person.email, 1)

    getattr(server, how)()
    event = {"id": topic, "topic": topic, "title": "during"}
    refused = await driver.emit(**event)
    ready = await driver.api.get("/readyz")
    preferred = await driver.api.post("/preferences", json={"topic": [topic], "priority": []}, headers=person.auth)
    server.start()
    await asyncio.to_thread(server.await_ready)  # its probe runs a loop of its own
    healed = await eventually(lambda: driver.emit(**event), lambda answer: answer.status_code == 202, patience=60)
    mails = await driver.arrived(person.email, 2)

    assert (refused.status_code, ready.status_code) == (503, 503)
    assert int(refused.headers["Retry-After"]) >= 1
    assert refused.headers["content-type"].startswith("application/problem+json")
    assert preferred.status_code == 200  # people's wishes need the database only
    assert healed.json()["status"] == "accepted"
    assert [mail["subject"] for mail in mails] == ["before", "during"]
