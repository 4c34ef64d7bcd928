"""Processes die; what was accepted arrives, once."""

import secrets

import pytest

from deploy.local.platform import Platform
from libs.common.testing.driver import Driver, Person, eventually

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("e2e")]


async def recorded(sigmora: Driver, person: Person) -> None:
    """Return when what was sent to a person is written down as sent."""
    [attempt] = await eventually(lambda: sigmora.attempts(person.email), len)

    async def state() -> str:
        answer = await sigmora.api.get(
            f"/v1/deliveries/{attempt['delivery_id']}", headers={"X-API-Key": sigmora.api_key}
        )
        return str(answer.json()["state"])

    await eventually(state, lambda seen: seen == "SENT")


@pytest.mark.parametrize("victim", ["router", "dispatcher"])
async def test_a_process_killed_between_two_events_delivers_both_once(
    sigmora: Driver, platform: Platform, victim: str
) -> None:
    topic = secrets.token_hex(6)
    person = await sigmora.subscribe(topic=[topic])
    await sigmora.accepted(topic=topic, title="before")
    if victim == "dispatcher":  # killed between the provider's answer and the record it may call again: see below
        await recorded(sigmora, person)

    platform.servers[victim].kill()
    await sigmora.accepted(topic=topic, title="after")
    platform.servers[victim].start()
    platform.servers[victim].await_ready()
    await sigmora.arrived(person.email, 2)
    await eventually(person.feed, lambda feed: len(feed) >= 2)
    await sigmora.accepted(topic=topic, title="later")
    mails = await sigmora.arrived(person.email, 3)

    assert sorted(mail["subject"] for mail in mails) == ["after", "before", "later"]
    await eventually(person.feed, lambda feed: len(feed) >= 3)
    assert len(await person.feed()) == len(await sigmora.inbox(person.email)) == 3
    # the inbox merges the calls of one idempotency key: only this sees a second one
    assert len(await sigmora.attempts(person.email)) == 3


async def test_a_dispatcher_killed_while_the_provider_hangs_sends_with_the_same_key(
    sigmora: Driver, platform: Platform
) -> None:
    """The provider took the message and the dispatcher died before it knew: its effect happens once."""
    topic = secrets.token_hex(6)
    person = await sigmora.subscribe(topic=[topic])
    await sigmora.fault(to=person.email, times=1, action={"kind": "delay", "ms": 3_000})
    await sigmora.accepted(topic=topic, title="once")
    await eventually(lambda: sigmora.attempts(person.email), len)

    platform.servers["dispatcher"].kill()
    platform.servers["dispatcher"].start()
    platform.servers["dispatcher"].await_ready()
    attempts = await eventually(lambda: sigmora.attempts(person.email), lambda seen: len(seen) >= 2, patience=90)
    await sigmora.arrived(person.email)

    assert len({attempt["idempotency_key"] for attempt in attempts}) == 1
    assert len(await sigmora.inbox(person.email)) == 1


async def test_an_api_that_was_killed_answers_a_repetition_with_the_same_id(
    sigmora: Driver, platform: Platform
) -> None:
    event = {"id": secrets.token_hex(6), "topic": secrets.token_hex(6), "title": "again"}
    before = await sigmora.accepted(**event)

    platform.servers["api"].kill()
    platform.servers["api"].start()
    platform.servers["api"].await_ready()

    assert await sigmora.accepted(**event) == before
