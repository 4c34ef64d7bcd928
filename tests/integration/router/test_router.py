"""From events on the log to deliveries on the log, by the whole router."""

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import httpx
import msgspec
import pytest

from libs.common.clock import utc_now
from libs.common.domain.channels import Channel, Lane
from libs.common.ports import Record
from libs.common.testing.log_reader import origin_of
from libs.common.testing.waiting import eventually

pytestmark = pytest.mark.integration

Heard = Callable[..., Awaitable[None]]


async def test_of_three_people_the_one_who_wants_it_gets_it(site: Any, until_heard: Heard) -> None:
    event = site.an_event(1)
    async with site.router() as router:
        await site.join("ann", 1, "tech")
        await site.join("bob", 2, "sports")
        await site.join("cid", 3, "news")
        await until_heard(router, "cid")
        await site.emit(event)
        await site.decided(event)

        assert await site.deliveries() == [("1", "ann", "EMAIL")]
        assert [(one.outcome, one.reason, one.subscribers) for one in await site.decisions(event)] == [
            ("SEND", "matched", ("ann",))
        ]


async def test_the_same_event_ten_times_and_the_topic_read_again_is_one_delivery(site: Any, until_heard: Heard) -> None:
    event, last = site.an_event(1), site.an_event(2)
    async with site.router() as router:
        await site.join("ann", 1, "tech")
        await until_heard(router, "ann")
        for _ in range(10):
            await site.emit(event)
        await site.decided(event)
    before = await site.deliveries()
    await site.reader.rewind(f"{site.topics.prefix}router.standard", site.topics.events(Lane.STANDARD))

    async with site.router() as wiring:
        await site.emit(last)
        await site.decided(last)
        await eventually(lambda: all(not sum(one.lag().values()) for one in wiring.consumptions))

    after = await site.deliveries()
    assert before.count(("1", "ann", "EMAIL")) == 1
    assert sorted(set(after)) == after
    assert set(after) - set(before) == {("2", "ann", "EMAIL")}
    assert len(await site.decisions(event)) == 1


async def test_poison_is_kept_byte_for_byte_and_the_next_record_is_routed(site: Any) -> None:
    """F22."""
    topic, event = site.topics.events(Lane.STANDARD), site.an_event(1)
    event_bytes = msgspec.json.encode(site.an_event(2))
    poison: list[tuple[bytes | None, bytes | None, list[tuple[str, bytes | None]]]] = [
        (b"k1", b"{not json", []),
        (b"k2", None, []),
        (None, None, []),
        (b"k3", b'{"specversion": "9.0"}', [("trace", b"1")]),
        (b"k4", b"\xff\x00", [("null", None)]),
        (b"k5", b"x" * 1_000_000, [("binary", b"\xff\xfe")]),
        (b"k6", event_bytes, [("trace", b"1"), ("binary\udcff\udcfe", b"name")]),
    ]
    origins = [await site.reader.write(topic, value, key=key, headers=headers) for key, value, headers in poison]
    await site.emit(event)

    async with site.router():
        await site.decided(event)

        async def all_buried() -> bool:
            return len(await site.reader.read(site.topics.dead_letters)) == len(poison)

        await eventually(all_buried)
    letters = {origin_of(letter): letter for letter in await site.reader.read(site.topics.dead_letters)}
    for origin, (key, value, headers) in zip(origins, poison, strict=True):
        letter = letters[origin]
        assert (letter.key, letter.value, list(letter.headers[: len(headers)])) == (key, value, headers)


async def test_a_change_of_mind_routes_within_two_seconds(site: Any, until_heard: Heard) -> None:
    """By the brokers' clock: from the change on the log to the first delivery that it made."""

    async def emit_all_the_time() -> None:
        for number in itertools.count(1):
            await site.emit(site.an_event(number))
            await asyncio.sleep(0.02)

    async with site.router() as router:
        await site.join("ann", 1, "sports")
        await until_heard(router, "ann")
        emitting = asyncio.create_task(emit_all_the_time())
        await site.join("ann", 1, "tech", version=2)

        async def delivered() -> bool:
            return bool(await site.deliveries())

        await eventually(delivered)
        emitting.cancel()

    changed = max(one.timestamp_ms for one in await site.reader.read(site.topics.subscriptions))
    first = min(
        one.timestamp_ms for one in await site.reader.read(site.topics.deliveries(Channel.EMAIL, Lane.STANDARD))
    )
    assert first - changed < 2_000


async def test_an_erased_subscriber_is_matched_no_more(site: Any, until_heard: Heard) -> None:
    async with site.router() as wiring:
        await site.join("ann", 1, "tech")
        await until_heard(wiring, "ann")

        await site.log.append([Record(site.topics.subscriptions, None, b"acme:ann")])
        await eventually(lambda: wiring.live.index.subscriber("acme", "ann") is None)


async def test_what_must_wait_is_delivered_at_its_time_and_not_before(site: Any, until_heard: Heard) -> None:
    """P4, with the real clock."""
    async with site.router() as router:
        await site.join("ann", 1, "tech")
        await until_heard(router, "ann")
        release = utc_now() + timedelta(seconds=3)
        event = site.an_event(1, releasetime=release, recipients=("ann",))
        await site.emit(event)
        await site.decided(event)
        assert [one.outcome for one in await site.decisions(event)] == ["HOLD"]
        assert ("1", "ann", "EMAIL") not in await site.deliveries()

        async def delivered() -> bool:
            return ("1", "ann", "EMAIL") in await site.deliveries()

        await eventually(delivered)

    (record,) = [
        one
        for one in await site.reader.read(site.topics.deliveries(Channel.EMAIL, Lane.STANDARD))
        if event.eventid.encode() in (one.value or b"")
    ]
    assert record.timestamp_ms >= release.timestamp() * 1000


async def test_what_a_closed_window_holds_is_released_when_it_opens(
    site: Any, shifted: Any, until_heard: Heard
) -> None:
    """By a clock that is moved, across a restart: the hold is in the database."""
    opens = utc_now() + timedelta(hours=2)
    window = f"{opens:%H}:00-{opens + timedelta(hours=1):%H}:00"
    event = site.an_event(1)
    async with site.router() as router:
        await site.join("ann", 1, "tech", windows=(window,))
        await until_heard(router, "ann")
        await site.emit(event)
        await site.decided(event)
        assert [one.reason for one in await site.decisions(event)] == ["window_closed"]

    site.clock = shifted(timedelta(hours=2))
    async with site.router():

        async def delivered() -> bool:
            return ("1", "ann", "EMAIL") in await site.deliveries()

        await eventually(delivered)


async def test_an_ingest_topic_is_found_while_the_router_runs(site: Any, until_heard: Heard) -> None:
    headers = [
        ("ce_specversion", b"1.0"),
        ("ce_id", b"77"),
        ("ce_source", b"/till"),
        ("ce_type", b"sale"),
        ("content-type", b"application/json"),
    ]
    async with site.router() as router:
        await site.join("ann", 1, "tech")
        await until_heard(router, "ann")
        topic = site.topics.ingest("acme")
        await site.reader.create(topic)
        await site.reader.write(topic, b'{"topic": "tech", "title": "Sold"}', headers=headers)
        await site.reader.write(topic, b"{", headers=headers)

        async def routed() -> bool:
            letters = await site.reader.read(site.topics.dead_letters)
            return ("77", "ann", "EMAIL") in await site.deliveries() and len(letters) == 1

        await eventually(routed)


async def test_the_probes_tell_where_the_index_stands(site: Any, until_heard: Heard) -> None:
    async with site.router() as wiring:
        await site.join("ann", 1, "tech")
        await until_heard(wiring, "ann")
        transport = httpx.ASGITransport(wiring.app())
        async with httpx.AsyncClient(transport=transport, base_url="http://router") as client:
            answer = await client.get("/readyz")
            metrics = await client.get("/metrics")

    assert answer.status_code == 200
    assert answer.json()["checks"]["index"]["subscribers"] == 1
    assert sum(answer.json()["checks"]["index"]["position"].values()) == 1
    assert "sigmora_index_subscribers 1.0" in metrics.text
