"""A provider that is down or hangs is left alone: other channels go on, and nothing dies, is lost or comes twice."""

import asyncio
import secrets
from collections import Counter

import httpx
import pytest

from deploy.local.platform import Platform
from libs.common.domain.channels import Channel
from libs.common.testing.driver import Driver, Person, eventually
from libs.common.testing.log_reader import LogReader
from libs.common.topics import Topics

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("e2e")]

EVENTS = 60


@pytest.fixture
def topic() -> str:
    """A topic that nobody else has."""
    return secrets.token_hex(6)


@pytest.fixture
async def person(sigmora: Driver, topic: str) -> Person:
    """Somebody who wants it by e-mail and in the feed."""
    return await sigmora.subscribe(topic=[topic])


async def emit(sigmora: Driver, topic: str, count: int = EVENTS) -> set[str]:
    """So many events; their ids."""
    return set(
        await asyncio.gather(*(sigmora.accepted(topic=topic, title=f"number {number}") for number in range(count)))
    )


async def sample(platform: Platform, name: str) -> float:
    """The sum of a metric of the dispatcher over e-mail's providers."""
    async with httpx.AsyncClient() as http:
        lines = (await http.get(f"{platform.url('dispatcher')}/metrics")).text.splitlines()
    return sum(float(line.split()[-1]) for line in lines if line.startswith(name) and 'channel="EMAIL"' in line)


def events_of(mails: list[dict[str, object]]) -> Counter[str]:
    """How often each event arrived."""
    return Counter(str(mail["metadata"]["event_id"]) for mail in mails)  # type: ignore[index]  # JSON


@pytest.mark.parametrize(
    "action", [{"kind": "status", "code": 503}, {"kind": "hang"}, {"kind": "drop_before"}], ids=["503", "hang", "drop"]
)
async def test_a_channel_whose_provider_is_down_waits_while_the_others_go_on(
    sigmora: Driver,
    platform: Platform,
    log: LogReader,
    topics: Topics,
    person: Person,
    topic: str,
    action: dict[str, object],
) -> None:
    dead = len(await log.read(topics.dead(Channel.EMAIL)))
    await sigmora.fault(channel="EMAIL", action=action)

    emitted = await emit(sigmora, topic)
    await eventually(person.feed, lambda feed: len(feed) == EVENTS)
    await eventually(lambda: sample(platform, "sigmora_breakers_open"), lambda seen: seen == 1)
    assert await sigmora.inbox(person.email) == []
    await sigmora.healthy()
    mails = await sigmora.arrived(person.email, EVENTS)

    assert events_of(mails) == dict.fromkeys(emitted, 1)
    assert len(await log.read(topics.dead(Channel.EMAIL))) == dead
    await eventually(lambda: sample(platform, "sigmora_breakers_open"), lambda seen: seen == 0)


async def test_a_stop_under_load_loses_nothing_and_calls_nobody_twice(
    sigmora: Driver, platform: Platform, person: Person, topic: str
) -> None:
    """SIGTERM: what is being sent is finished, what waits is left to the next process."""
    await sigmora.fault(channel="EMAIL", action={"kind": "delay", "ms": 300})
    emitted: set[str] = set()
    restarted = asyncio.Event()

    async def load() -> None:
        while not restarted.is_set():
            emitted.update(await emit(sigmora, topic, 10))

    loading = asyncio.create_task(load())
    await sigmora.arrived(person.email, 30)
    await asyncio.to_thread(platform.servers["dispatcher"].stop)
    platform.servers["dispatcher"].start()
    await asyncio.to_thread(platform.servers["dispatcher"].await_ready)
    restarted.set()
    await loading
    await sigmora.arrived(person.email, len(emitted))

    calls = Counter(attempt["idempotency_key"] for attempt in await sigmora.attempts(person.email))
    assert set(calls.values()) == {1}
    assert len(calls) == len(emitted)
