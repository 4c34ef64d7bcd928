"""What is not to arrive yet is held, not dropped; and released on time, never early."""

import secrets
from datetime import UTC, datetime, timedelta

import pytest

from libs.common.testing.driver import Driver, eventually

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("e2e")]


async def fate(sigmora: Driver, event_id: str) -> str:
    """What the router decided for an event, as its sender sees it."""
    return (await sigmora.api.get(f"/v1/events/{event_id}", headers={"X-API-Key": sigmora.api_key})).text


async def test_an_event_is_released_at_its_earliest_time_and_not_before(sigmora: Driver) -> None:
    topic = secrets.token_hex(6)
    person = await sigmora.subscribe(topic=[topic])
    due = datetime.now(UTC) + timedelta(seconds=2)

    await sigmora.accepted(topic=topic, title="later", release_time=due.isoformat())
    [mail] = await sigmora.arrived(person.email)

    assert datetime.fromtimestamp(mail["at_ns"] / 1e9, UTC) >= due


async def test_outside_of_a_window_a_notification_is_held_and_a_critical_one_is_not(sigmora: Driver) -> None:
    topic = secrets.token_hex(6)
    hour = (datetime.now(UTC).hour + 12) % 24  # the other half of the day
    person = await sigmora.subscribe(topic=[topic], release_time=[f"{hour:02}:00-{hour:02}:30"])

    held = await sigmora.accepted(topic=topic, title="for later")
    await sigmora.accepted(topic=topic, title="your code", lane="critical")
    mails = await sigmora.arrived(person.email)

    assert "HOLD" in await eventually(lambda: fate(sigmora, held), lambda text: "HOLD" in text)
    assert [mail["subject"] for mail in mails] == ["your code"]


async def test_what_is_of_no_use_any_more_is_not_sent(sigmora: Driver) -> None:
    topic = secrets.token_hex(6)
    person = await sigmora.subscribe(topic=[topic])
    past = (datetime.now(UTC) - timedelta(seconds=1)).isoformat()

    expired = await sigmora.accepted(topic=topic, title="too late", expires_at=past)
    await sigmora.accepted(topic=topic, title="in time")
    await sigmora.arrived(person.email)

    assert "EXPIRED" in await eventually(lambda: fate(sigmora, expired), lambda text: "EXPIRED" in text)
    assert [mail["subject"] for mail in await sigmora.inbox(person.email)] == ["in time"]
