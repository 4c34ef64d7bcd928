"""What a provider answers decides what follows: again, never before due; refused for good; or dead."""

import secrets
from datetime import timedelta
from itertools import pairwise
from typing import Any

import msgspec
import pytest

from libs.common.domain.channels import Channel
from libs.common.domain.durations import parse_duration
from libs.common.domain.messages import RetryDelivery, StatusChanged
from libs.common.testing.driver import Driver, Person, eventually
from libs.common.testing.log_reader import LogReader
from libs.common.topics import Topics

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("e2e")]


@pytest.fixture
async def person(sigmora: Driver) -> Person:
    """Somebody who wants one topic of their own."""
    return await sigmora.subscribe(topic=[secrets.token_hex(6)])


async def emit_to(sigmora: Driver, person: Person, **event: Any) -> str:
    """An event that only this person wants."""
    preferences = (await sigmora.api.get("/preferences", headers=person.auth)).json()
    [topic] = preferences["topic"]
    return await sigmora.accepted(topic=topic, title="retried", **event)


async def states(log: LogReader, topics: Topics, event_id: str) -> list[tuple[str, int, str]]:
    """The states that the e-mail of an event went through, with attempt and reason."""
    changes = [msgspec.json.decode(r.value or b"", type=StatusChanged).data for r in await log.read(topics.status)]
    return [
        (change.state, change.attempt, change.reason)
        for change in changes
        if change.event_id == event_id and change.channel is Channel.EMAIL
    ]


async def settled(log: LogReader, topics: Topics, event_id: str, state: str) -> list[tuple[str, int, str]]:
    """Wait for the e-mail of an event to come to rest in `state`."""

    async def look() -> list[tuple[str, int, str]]:
        return await states(log, topics, event_id)

    return await eventually(look, lambda seen: any(name == state for name, _, _ in seen))


async def test_two_failures_then_success_is_attempt_3_never_before_due(
    sigmora: Driver, person: Person, log: LogReader, topics: Topics
) -> None:
    await sigmora.fault(to=person.email, times=2, action={"kind": "status", "code": 500})

    event_id = await emit_to(sigmora, person)
    await sigmora.arrived(person.email)
    changes = await settled(log, topics, event_id, "SENT")

    attempts = await sigmora.attempts(person.email)
    assert [attempt["status"] for attempt in attempts] == [500, 500, 200]
    assert len({attempt["idempotency_key"] for attempt in attempts}) == 1
    assert changes[-1][:2] == ("SENT", 3)
    gaps = [(later["at_ns"] - earlier["at_ns"]) / 1e9 for earlier, later in pairwise(attempts)]
    for gap, delay in zip(gaps, topics.tiers, strict=False):
        assert timedelta(seconds=gap) >= delay


async def test_a_refusal_is_undeliverable_after_one_attempt(
    sigmora: Driver, person: Person, log: LogReader, topics: Topics
) -> None:
    await sigmora.fault(to=person.email, action={"kind": "status", "code": 400})

    event_id = await emit_to(sigmora, person)
    changes = await settled(log, topics, event_id, "UNDELIVERABLE")

    assert changes[-1][:2] == ("UNDELIVERABLE", 1)
    assert [attempt["status"] for attempt in await sigmora.attempts(person.email)] == [400]


async def test_a_provider_that_is_down_for_the_whole_schedule_makes_it_dead(
    sigmora: Driver, person: Person, log: LogReader, topics: Topics
) -> None:
    await sigmora.fault(to=person.email, action={"kind": "status", "code": 503})

    event_id = await emit_to(sigmora, person)
    changes = await settled(log, topics, event_id, "DEAD")

    dead = [msgspec.json.decode(r.value or b"", type=RetryDelivery) for r in await log.read(topics.dead(Channel.EMAIL))]
    [letter] = [one for one in dead if one.event.eventid == event_id]
    assert changes[-1][:2] == ("DEAD", 4)
    assert letter.attempt == 4
    assert len(await sigmora.attempts(person.email)) == 4


async def test_retry_after_picks_the_first_tier_that_is_long_enough(
    sigmora: Driver, person: Person, topics: Topics
) -> None:
    action = {"kind": "status", "code": 429, "headers": {"Retry-After": "1"}}
    await sigmora.fault(to=person.email, times=1, action=action)

    await emit_to(sigmora, person)
    await sigmora.arrived(person.email)

    first, second = await sigmora.attempts(person.email)
    assert timedelta(microseconds=(second["at_ns"] - first["at_ns"]) / 1000) >= parse_duration("1s")


async def test_a_provider_that_accepts_and_then_drops_the_line_has_one_effect(
    sigmora: Driver, person: Person, log: LogReader, topics: Topics
) -> None:
    """The outcome is unknown; the same idempotency key goes along with the second attempt."""
    await sigmora.fault(to=person.email, times=1, action={"kind": "drop_after_accept"})

    event_id = await emit_to(sigmora, person)
    changes = await settled(log, topics, event_id, "SENT")

    assert [name for name, _, _ in changes] == ["UNKNOWN", "SENT"]
    assert len(await sigmora.inbox(person.email)) == 1
    assert len({attempt["idempotency_key"] for attempt in await sigmora.attempts(person.email)}) == 1
