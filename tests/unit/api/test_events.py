"""Services emit events: one or many, in every form, again and again."""

import json
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from libs.common.domain import keys
from libs.common.domain.messages import Event
from libs.common.domain.shown import Progress, ShownGroup

World = Any
CLOUD = {"specversion": "1.0", "id": "7", "source": "/shop", "type": "order.paid", "topic": "orders"}


def emitted(world: World, lane: str = "standard") -> list[Event]:
    """What is on the log."""
    return [msgspec.json.decode(record.value, type=Event) for record in world.log.of(f"sigmora.events.{lane}")]


async def test_an_event_is_on_the_log_before_it_is_acknowledged(world: World) -> None:
    answer = await world.emit({"id": "1", "source": "/shop", "topic": "tech", "title": "Hello", "lane": "critical"})

    event_id = keys.event_id("acme", "/shop", "1")
    assert answer.status_code == 202
    assert answer.headers["location"] == f"/v1/events/{event_id}"
    assert answer.json() == {
        "id": event_id,
        "source": "/shop",
        "source_id": "1",
        "lane": "critical",
        "status": "accepted",
    }
    [record] = world.log.of("sigmora.events.critical")
    assert record.key == event_id.encode()
    assert dict(record.headers)["content-type"] == b"application/cloudevents+json"
    [event] = emitted(world, "critical")
    assert (event.tenant, event.topic, event.data.title) == ("acme", "tech", "Hello")


async def test_a_trace_goes_along(world: World) -> None:
    trace = "00-" + "a" * 32 + "-" + "b" * 16 + "-01"

    await world.emit(traceparent=trace)

    [record] = world.log.records
    assert dict(record.headers)["traceparent"] == trace.encode()
    assert emitted(world)[0].traceparent == trace


async def test_a_structured_cloudevent_is_an_event(world: World) -> None:
    answer = await world.client.post(
        "/v1/events",
        content=json.dumps({**CLOUD, "data": {"title": "Paid"}}),
        headers={**world.key, "content-type": "application/cloudevents+json; charset=UTF-8"},
    )

    assert answer.status_code == 202, answer.text
    assert emitted(world)[0].data.title == "Paid"


async def test_a_binary_cloudevent_is_the_same_event(world: World) -> None:
    attributes = {f"ce-{name}": value for name, value in CLOUD.items()}
    answer = await world.client.post(
        "/v1/events",
        content=b'{"title": "Paid"}',
        headers={**world.key, **attributes, "ce-colour": "gr%C3%BCn", "content-type": "application/json"},
    )

    assert answer.status_code == 202, answer.text
    [event] = emitted(world)
    assert (event.id, event.source, event.type, event.topic) == ("7", "/shop", "order.paid", "orders")
    assert event.attributes == {"colour": "grün"}


@pytest.mark.parametrize("path", ["/v1/events", "/v1/events:batch"])
async def test_a_batch_of_cloudevents_is_many_events(world: World, path: str) -> None:
    answer = await world.client.post(
        path,
        content=json.dumps([{**CLOUD, "id": str(n)} for n in range(3)]),
        headers={**world.key, "content-type": "application/cloudevents-batch+json"},
    )

    assert answer.status_code == 202, answer.text
    assert [event["source_id"] for event in answer.json()["events"]] == ["0", "1", "2"]
    assert len(emitted(world)) == 3


@pytest.mark.parametrize("wrap", [lambda events: {"events": events}, lambda events: events])
async def test_a_plain_batch_is_one_write_of_claims_and_one_append(world: World, wrap: Any) -> None:
    events = [{"id": str(n), "topic": "t", "title": "x"} for n in range(1_000)]

    answer = await world.client.post("/v1/events:batch", json=wrap(events), headers=world.key)

    assert answer.status_code == 202
    assert answer.json()["events"][999]["source_id"] == "999"
    assert (world.claims.inserts, len(emitted(world))) == (1, 1_000)


async def test_a_batch_with_a_fault_is_refused_whole(world: World) -> None:
    events = [{"topic": "t", "title": "x"}, {"topic": "t", "title": "a\nb"}, {"topic": "t"}]

    answer = await world.client.post("/v1/events:batch", json=events, headers=world.key)

    assert answer.status_code == 400
    assert [e["pointer"] for e in answer.json()["errors"]] == ["events[1].title", "events[2].title"]
    assert world.log.records == []


@pytest.mark.parametrize("body", [[], {}, {"events": []}, {"events": {}}, [{"topic": "t"}] * 1_001, {"event": []}])
async def test_a_batch_is_a_list_of_up_to_a_thousand(world: World, body: Any) -> None:
    assert (await world.client.post("/v1/events:batch", json=body, headers=world.key)).status_code == 400


async def test_the_same_key_and_body_get_the_same_answer(world: World) -> None:
    first = await world.emit(**{"Idempotency-Key": "k1"})
    world.pass_time(60)
    second = await world.emit(**{"Idempotency-Key": '"k1"'})

    assert (first.status_code, first.json()) == (202, second.json())
    assert len({event.eventid for event in emitted(world)}) == 1


async def test_the_same_key_with_another_body_is_refused(world: World) -> None:
    await world.emit(**{"Idempotency-Key": "k1"})

    answer = await world.emit({"topic": "tech", "title": "Other"}, **{"Idempotency-Key": "k1"})

    assert (answer.status_code, answer.json()["type"]) == (422, "/problems/idempotency-conflict")
    assert len(emitted(world)) == 1


async def test_a_source_and_id_stand_for_one_body(world: World) -> None:
    body = {"id": "1", "source": "/shop", "topic": "tech", "title": "Hello"}

    answers = [await world.emit(body), await world.emit(body), await world.emit({**body, "title": "Other"})]

    assert [answer.status_code for answer in answers] == [202, 202, 422]


async def test_a_key_of_another_tenant_is_another_key(world: World) -> None:
    other = await world.api_keys.create("other", "o", ["events"], world.now)
    first = await world.emit(**{"Idempotency-Key": "k1"})

    second = await world.emit({"topic": "x", "title": "Other"}, **{"Idempotency-Key": "k1", "X-API-Key": other})

    assert second.status_code == 202
    assert first.json()["id"] != second.json()["id"]


async def test_a_batch_under_one_key_can_be_repeated(world: World) -> None:
    events = [{"topic": "t", "title": str(n)} for n in range(2)]
    headers = {**world.key, "Idempotency-Key": "b1"}

    first = await world.client.post("/v1/events:batch", json=events, headers=headers)
    second = await world.client.post("/v1/events:batch", json=events, headers=headers)
    other = await world.client.post("/v1/events:batch", json=events[::-1], headers=headers)

    assert first.json() == second.json()
    assert [e["pointer"] for e in other.json()["errors"]] == ["events", "events[0]", "events[1]"]


@pytest.mark.parametrize("titles", [["a"], ["a", "b", "c"], []])
async def test_another_batch_under_the_same_key_is_refused_whatever_it_has_in_common(
    world: World, titles: list[str]
) -> None:
    """A shorter one passed as a repetition, a longer one had its further events accepted."""
    headers = {**world.key, "Idempotency-Key": "k1"}
    await world.client.post("/v1/events:batch", json=[{"topic": "t", "title": each} for each in "ab"], headers=headers)

    batch = [{"topic": "t", "title": each} for each in titles]
    other = await world.client.post("/v1/events:batch", json=batch, headers=headers)

    assert other.status_code in (400, 422)
    assert len(emitted(world)) == 2


async def test_no_key_is_that_of_a_place_in_a_batch(world: World) -> None:
    event = {"topic": "t", "title": "same"}
    batch = await world.client.post("/v1/events:batch", json=[event], headers={**world.key, "Idempotency-Key": "k1"})
    ids = {batch.json()["events"][0]["id"] if "events" in batch.json() else batch.json()["items"][0]["id"]}
    for key in ("k1#0", "k1", '["k1",0]', '["k1"]'):
        one = await world.emit(event, **{"Idempotency-Key": key})
        assert one.status_code == 202, one.text
        ids.add(one.json()["id"])

    assert len(ids) == 5


async def test_a_batch_that_contradicts_itself_is_refused(world: World) -> None:
    events = [{"id": "1", "topic": "t", "title": title} for title in ("a", "a", "b")]

    answer = await world.client.post("/v1/events:batch", json=events, headers=world.key)

    assert (answer.status_code, [e["pointer"] for e in answer.json()["errors"]]) == (422, ["events[2]"])


@pytest.mark.parametrize("key", ["", '""', "x" * 256, "a\tb", "clé".encode()])
async def test_what_is_no_key_is_refused(world: World, key: Any) -> None:
    answer = await world.emit(**{"Idempotency-Key": key})

    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (400, "Idempotency-Key")


@pytest.mark.parametrize("missing", ["log", "claims"])
async def test_when_kafka_or_mongo_is_away_the_sender_is_told_to_come_back(world: World, missing: str) -> None:
    """And the same request heals it."""
    getattr(world, missing).away = True
    away = await world.emit(**{"Idempotency-Key": "k1"})
    getattr(world, missing).away = False
    healed = await world.emit(**{"Idempotency-Key": "k1"})

    assert (away.status_code, away.headers["retry-after"]) == (503, "2")
    assert away.headers["content-type"] == "application/problem+json"
    assert "Kafka" not in away.text
    assert "MongoDB" not in away.text
    assert healed.status_code == 202
    assert len(emitted(world)) == 1


RAW = [
    (b"", "application/json", 400),
    (b"{", "application/json", 400),
    (b"null", "application/json", 400),
    (b"[]", "application/json", 400),
    (b'{"topic": NaN}', "application/json", 400),
    (b'{"topic": "t", "title": "x", "data": 1e400}', "application/json", 400),
    (b'{"topic": "t", "title": "x", "data": 9223372036854775808}', "application/json", 400),
    (b'{"topic": "t", "title": "x", "data": {"$where": 1}}', "application/json", 400),
    (b'{"topic": "t", "title": "\\ud800"}', "application/json", 400),
    (b'\xef\xbb\xbf{"topic": "t", "title": "x"}', "application/json", 400),
    ('{"topic": "t", "title": "x"}'.encode("utf-16"), "application/json", 400),
    (b"[" * 100_000, "application/json", 400),
    (b'{"data":' + b"[" * 100_000, "application/json", 400),
    (b'{"data":' + b"[" * 90 + b"]" * 90 + b"}", "application/json", 400),
    (b'{"topic": "t", "title": "' + b"x" * 1_000_000 + b'"}', "application/json", 413),
    (b"x" * (6 * 1024 * 1024), "application/json", 413),
    (b"{}", "application/cloudevents+json", 400),
    (b"[]", "application/cloudevents+json", 400),
    (b"{}", "application/cloudevents-batch+json", 400),
    (b"topic=t", "application/x-www-form-urlencoded", 415),
    (b'{"topic": "t", "title": "x"}', "application/json; charset=latin-1", 415),
    (b"<event/>", "application/xml", 415),
]


@pytest.mark.parametrize(("body", "content_type", "status"), RAW)
async def test_a_body_that_is_no_event_is_refused_and_never_an_error_of_ours(
    world: World, body: bytes, content_type: str, status: int
) -> None:
    answer = await world.client.post("/v1/events", content=body, headers={**world.key, "content-type": content_type})

    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert world.log.records == []


async def test_an_event_with_a_key_twice_is_refused_by_the_place(world: World) -> None:
    answer = await world.client.post(
        "/v1/events:batch",
        content=b'{"events": [{"topic": "a", "title": "x"}, {"topic": "a", "topic": "b", "title": "x"}]}',
        headers={**world.key, "content-type": "application/json"},
    )

    assert answer.status_code == 400
    assert answer.json()["errors"] == [{"pointer": "events[1].topic", "message": "is given twice"}]
    assert world.log.records == []


async def test_a_compressed_body_is_refused_unread(world: World) -> None:
    answer = await world.emit(**{"Content-Encoding": "gzip"})

    assert answer.status_code == 415


async def test_progress_is_accepted_then_what_the_router_recorded(world: World) -> None:
    event_id = (await world.emit()).json()["id"]
    path = f"/v1/events/{event_id}"

    accepted = (await world.client.get(path, headers=world.key)).json()
    group = ShownGroup(outcome="SEND", reason="matched", channel="EMAIL", count=3)
    world.progress.events["acme", event_id] = Progress(groups=(group,), created_at=world.now)
    routing = (await world.client.get(path, headers=world.key)).json()
    fanned_out = world.now + timedelta(seconds=1)
    world.progress.events["acme", event_id] = Progress(groups=(group,), created_at=world.now, fanned_out_at=fanned_out)
    routed = (await world.client.get(path, headers=world.key)).json()

    assert [found["status"] for found in (accepted, routing, routed)] == ["accepted", "routing", "routed"]
    assert (accepted["counts"], routed["counts"][0]["count"]) == ([], 3)
    assert accepted["accepted_at"] is not None
    assert {found["accepted_at"] for found in (routing, routed)} == {accepted["accepted_at"]}


@pytest.mark.parametrize("event_id", ["nothing", "507f1f77bcf86cd799439011", "..%2f..", '{"$gt":""}', "x" * 2000])
async def test_an_event_that_is_not_there_is_not_found(world: World, event_id: str) -> None:
    answer = await world.client.get(f"/v1/events/{event_id}", headers=world.key)

    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"


async def test_another_tenants_event_is_not_there(world: World) -> None:
    event_id = (await world.emit()).json()["id"]
    other = await world.api_keys.create("other", "o", ["events"], world.now)

    answer = await world.client.get(f"/v1/events/{event_id}", headers={"X-API-Key": other})

    assert answer.status_code == 404


async def test_an_event_claims_its_own_id_also_under_a_key(world: World) -> None:
    """Another body under the same id was accepted with another key, and then dropped by the router."""
    event = {"id": "x", "source": "/shop", "topic": "tech", "title": "A"}
    first = await world.emit(event, **{"Idempotency-Key": "k1"})
    second = await world.emit({**event, "title": "B"}, **{"Idempotency-Key": "k2"})
    third = await world.emit({**event, "title": "C"})

    assert [answer.status_code for answer in (first, second, third)] == [202, 422, 422]
