"""An event reaches whom it should, once, on every channel, however often it is said."""

import asyncio
import secrets
from typing import Any

import pytest

from deploy.local.platform import Platform
from libs.common.domain.channels import Lane
from libs.common.testing.driver import Driver, Person, eventually
from libs.common.testing.log_reader import LogReader
from libs.common.topics import Topics

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("e2e")]


def fresh(topic: str) -> str:
    """A topic that no other test's subscribers want."""
    return f"{topic}-{secrets.token_hex(4)}"


async def seen(sigmora: Driver, person: Person) -> tuple[int, int]:
    """How many messages are in a person's inbox, and in their feed."""
    return len(await sigmora.inbox(person.email)), len(await person.feed())


async def calls_for(sigmora: Driver, person: Person) -> int:
    """How many calls the provider got for a person; the inbox merges those of one idempotency key."""
    return len(await sigmora.attempts(person.email))


async def after_a_later_event(sigmora: Driver, **event: Any) -> None:
    """Return when an event sent now has arrived: what was sent before it, and was to arrive, has arrived too."""
    topic = fresh("later")
    witness = await sigmora.subscribe(topic=[topic])
    for number in range(8):  # some on every partition
        await sigmora.accepted(topic=topic, title=f"later {number}", **event)
    await sigmora.arrived(witness.email, 8)
    await eventually(witness.feed, lambda feed: len(feed) >= 8)


async def test_an_event_reaches_the_one_of_three_who_wants_it_once(sigmora: Driver) -> None:
    topic = fresh("tech")
    wants = await sigmora.subscribe(topic=[topic], priority=["high"])
    other_priority = await sigmora.subscribe(topic=[topic], priority=["low"])
    other_topic = await sigmora.subscribe(topic=[fresh("tech")], priority=["high"])

    await sigmora.accepted(topic=topic, priority="high", title="It works", content="Hello")
    [mail] = await sigmora.arrived(wants.email)
    await after_a_later_event(sigmora)

    assert (mail["subject"], mail["body"]) == ("It works", "Hello")
    assert [await seen(sigmora, person) for person in (wants, other_priority, other_topic)] == [(1, 1), (0, 0), (0, 0)]
    assert [await calls_for(sigmora, person) for person in (wants, other_priority, other_topic)] == [1, 0, 0]
    [entry] = await wants.feed()
    assert (entry["title"], entry["content"], entry["topic"], entry["priority"]) == ("It works", "Hello", topic, "high")


async def test_an_event_said_ten_times_at_once_arrives_once(sigmora: Driver) -> None:
    topic = fresh("repeat")
    person = await sigmora.subscribe(topic=[topic])
    event = {"id": f"repeat-{topic}", "topic": topic, "title": "Once"}

    ids = await asyncio.gather(*(sigmora.accepted(**event) for _ in range(10)))
    await sigmora.arrived(person.email)
    await after_a_later_event(sigmora)

    assert len(set(ids)) == 1
    assert await seen(sigmora, person) == (1, 1)
    assert await calls_for(sigmora, person) == 1


async def test_the_log_read_again_from_offset_0_sends_nothing_again(
    sigmora: Driver, platform: Platform, log: LogReader, topics: Topics
) -> None:
    """Both logs: the events, by the router, and the deliveries, by the dispatcher."""
    topic = fresh("again")
    person = await sigmora.subscribe(topic=[topic])
    await sigmora.accepted(topic=topic, title="Once")
    await sigmora.arrived(person.email)
    await eventually(person.feed, len)
    before = (await sigmora.simulator.get("/attempts")).json()

    for service, sources in {
        "router": [topics.events(lane) for lane in Lane],
        "dispatcher": [name for name in (t.name for t in topics.table()) if ".deliveries." in name],
    }.items():
        platform.servers[service].stop()
        groups = await log.groups_of(topics.prefix)
        for group, read in groups.items():
            for source in set(sources) & read:
                await log.rewind(group, source)
        platform.servers[service].start()
        platform.servers[service].await_ready()
        await eventually(lambda: log.lag_of(topics.prefix), lambda lag: lag == 0)
    await after_a_later_event(sigmora)

    assert await seen(sigmora, person) == (1, 1)
    after = (await sigmora.simulator.get("/attempts")).json()[len(before) :]
    repeated = {attempt["delivery_id"] for attempt in before} & {attempt["delivery_id"] for attempt in after}
    assert repeated == set()


async def test_a_batch_arrives_whole_and_each_once(sigmora: Driver) -> None:
    topic = fresh("batch")
    person = await sigmora.subscribe(topic=[topic])
    events = [{"topic": topic, "title": f"number {number}", "id": f"{topic}-{number}"} for number in range(100)]

    answer = await sigmora.api.post("/v1/events:batch", json={"events": events}, headers={"X-API-Key": sigmora.api_key})
    mails = await sigmora.arrived(person.email, 100)
    await after_a_later_event(sigmora)

    assert answer.status_code == 202, answer.text
    assert {mail["subject"] for mail in mails} == {f"number {number}" for number in range(100)}
    assert len(await sigmora.inbox(person.email)) == await calls_for(sigmora, person) == 100


async def test_a_changed_preference_routes_within_two_seconds(sigmora: Driver) -> None:
    """No call to wait for the router here: that is the promise."""
    old, new = fresh("old"), fresh("new")
    person = await sigmora.subscribe(topic=[old])

    await person.prefer(topic=[new])
    await asyncio.sleep(2)  # the promise itself, not a condition
    await sigmora.accepted(topic=old, title="not wanted any more")
    await sigmora.accepted(topic=new, title="wanted now")
    await sigmora.arrived(person.email)
    await after_a_later_event(sigmora)

    assert [mail["subject"] for mail in await sigmora.inbox(person.email)] == ["wanted now"]


async def test_who_unsubscribes_hears_nothing_any_more(
    sigmora: Driver, platform: Platform, log: LogReader, topics: Topics
) -> None:
    """Also what was matched before, and waits for another attempt. The dispatcher rests meanwhile: an attempt that was
    under way when the answer came would be allowed, and none could be counted exactly."""
    topic = fresh("bye")
    person = await sigmora.subscribe(topic=[topic])
    await sigmora.fault(to=person.email, action={"kind": "status", "code": 503})
    await sigmora.accepted(topic=topic, title="too late")
    await eventually(lambda: sigmora.attempts(person.email), len)

    platform.servers["dispatcher"].stop()
    made = await calls_for(sigmora, person)
    await person.unsubscribe()
    await sigmora.healthy()
    platform.servers["dispatcher"].start()
    platform.servers["dispatcher"].await_ready()
    await sigmora.routed()
    await sigmora.accepted(topic=topic, title="after")
    await after_a_later_event(sigmora)
    await eventually(lambda: log.lag_of(topics.prefix), lambda lag: lag == 0)

    assert await sigmora.inbox(person.email) == []
    assert await calls_for(sigmora, person) == made


async def test_a_topic_covers_what_is_below_it(sigmora: Driver) -> None:
    root = fresh("sports")
    person = await sigmora.subscribe(topic=[root])

    await sigmora.accepted(topic=f"{root}/football", title="below")
    await sigmora.accepted(topic=f"{root}ball", title="beside")
    await sigmora.arrived(person.email)
    await after_a_later_event(sigmora)

    assert [mail["subject"] for mail in await sigmora.inbox(person.email)] == ["below"]


async def test_services_may_write_cloudevents_to_a_topic_of_their_own(
    sigmora: Driver, log: LogReader, topics: Topics, platform: Platform
) -> None:
    topic = fresh("direct")
    person = await sigmora.subscribe(topic=[topic])
    await log.create(topics.ingest("default"))
    headers = [("ce_specversion", b"1.0"), ("ce_id", topic.encode()), ("ce_source", b"/billing"), ("ce_type", b"paid")]
    headers += [("content-type", b"application/json"), ("ce_topic", topic.encode()), ("ce_tenant", b"forged")]

    await log.write(topics.ingest("default"), b'{"title": "Paid", "content": "Thanks"}', headers=headers)
    [mail] = await sigmora.arrived(person.email)

    assert (mail["subject"], mail["body"]) == ("Paid", "Thanks")
