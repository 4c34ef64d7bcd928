"""What counts as an event, in the plain form, as a CloudEvent and on Kafka."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from libs.common.domain import keys
from libs.common.domain.channels import Channel, Lane
from libs.common.domain.errors import InvalidInput
from libs.common.domain.intake import (
    MAX_EVENT_BYTES,
    accept_cloudevent,
    accept_plain,
    accept_record,
    accept_structured,
    canonical,
)
from libs.common.domain.messages import Event

NOW = datetime(2030, 1, 1, 12, tzinfo=UTC)
PLAIN = {"id": "1", "topic": "tech", "title": "Hello"}
CLOUD = {"specversion": "1.0", "id": "1", "source": "/a", "type": "com.example.made"}


def plain(**changed: Any) -> Event:
    """An event from the plain form, with some fields changed."""
    return accept_plain({**PLAIN, **changed}, "acme", NOW)


def flaws(error: pytest.ExceptionInfo[InvalidInput]) -> dict[str, str]:
    """What was refused, by place."""
    return {flaw.pointer: flaw.message for flaw in error.value.flaws}


def test_a_plain_event_is_read_whole() -> None:
    event = plain(
        source="/shop",
        type="order.paid",
        subject="order 7",
        time="2029-12-31T23:00:00+01:00",
        topic=" sports/football ",
        priority="high",
        category="update",
        content="line one\nline two",
        data={"total": 7, "nested": {"a": [1, 2.5, None, True]}},
        recipients=["user_001", "user_002", "user_001"],
        channels=["email", "SMS", "EMAIL"],
        lane="critical",
        release_time="2030-01-01T13:00:00Z",
        expires_at="2030-01-02T00:00:00Z",
    )

    assert (event.source, event.type, event.subject) == ("/shop", "order.paid", "order 7")
    assert event.time == datetime(2029, 12, 31, 22, tzinfo=UTC)
    assert (event.topic, event.priority, event.category, event.lane) == (
        "sports/football",
        "high",
        "update",
        "critical",
    )
    assert event.data.recipients == ("user_001", "user_002")
    assert event.data.channels == (Channel.EMAIL, Channel.SMS)
    assert event.releasetime == NOW + timedelta(hours=1)
    assert event.eventid == keys.event_id("acme", "/shop", "1")
    assert msgspec.json.decode(msgspec.json.encode(event), type=Event) == event


def test_what_a_plain_event_leaves_out_has_defaults() -> None:
    event = accept_plain({"topic": "tech", "title": "Hello"}, "acme", NOW, fallback_id="drawn")

    assert (event.id, event.source, event.type, event.lane) == ("drawn", "/api", "sigmora.event", Lane.STANDARD)
    assert (event.time, event.releasetime, event.expiresat) == (NOW, None, None)


@pytest.mark.parametrize("word", ["now", "anytime", "", None, " NOW "])
def test_now_is_no_release_time(word: str | None) -> None:
    assert plain(release_time=word).releasetime is None


def test_a_direct_notification_needs_no_topic() -> None:
    assert plain(topic=None, recipients=["user_001"]).topic == ""


@pytest.mark.parametrize(
    ("changed", "pointer"),
    [
        ({"id": None}, "id"),
        ({"id": ""}, "id"),
        ({"id": " "}, "id"),
        ({"id": "a\nb"}, "id"),
        ({"id": "a\u200bb"}, "id"),
        ({"id": "x" * 256}, "id"),
        ({"id": 7}, "id"),
        ({"topic": None}, "topic"),
        ({"topic": "  "}, "topic"),
        ({"topic": ["tech"]}, "topic"),
        ({"topic": {"$gt": ""}}, "topic"),
        ({"topic": "x" * 257}, "topic"),
        ({"topic": "a\x00"}, "topic"),
        ({"title": None}, "title"),
        ({"title": "a\r\nBcc: x@example.com"}, "title"),
        ({"title": "x" * 1_001}, "title"),
        ({"title": "\ud800"}, "title"),
        ({"content": "x" * 65_537}, "content"),
        ({"content": "a\x00"}, "content"),
        ({"lane": "fast"}, "lane"),
        ({"channels": ["PIGEON"]}, "channels"),
        ({"channels": "EMAIL"}, "channels"),
        ({"recipients": "user_001"}, "recipients"),
        ({"recipients": ["ok", "not ok"]}, "recipients[1]"),
        ({"recipients": [f"u{n}" for n in range(10_001)]}, "recipients"),
        ({"release_time": "2030-01-01T00:00:00"}, "release_time"),
        ({"release_time": "tomorrow"}, "release_time"),
        ({"release_time": 1893456000}, "release_time"),
        ({"release_time": "2031-02-01T00:00:00Z"}, "release_time"),
        ({"release_time": "9999-12-31T23:59:59Z"}, "release_time"),
        ({"expires_at": "2030-06-30T23:59:60Z"}, "expires_at"),
        ({"release_time": "2030-01-02T00:00:00Z", "expires_at": "2030-01-01T13:00:00Z"}, "expires_at"),
        ({"time": "2030-01-01"}, "time"),
        ({"source": "a b\x07"}, "source"),
        ({"data": {"$where": 1}}, "data"),
        ({"data": {"a": {"b\x00": 1}}}, "data.a"),
        ({"data": {"a": [{"__proto__": 1}]}}, "data.a[0]"),
        ({"data": {"n": 2**63}}, "data.n"),
        ({"data": {"n": float("nan")}}, "data.n"),
        ({"data": {"s": "\udfff"}}, "data.s"),
        ({"tenant": "other"}, "tenant"),
        ({"topics": ["tech"]}, "topics"),
    ],
)
def test_what_is_wrong_is_refused_by_place(changed: dict[str, Any], pointer: str) -> None:
    with pytest.raises(InvalidInput) as error:
        plain(**changed)

    assert pointer in flaws(error)


def test_everything_that_is_wrong_is_said_at_once() -> None:
    with pytest.raises(InvalidInput) as error:
        accept_plain({"topic": 1, "lane": "x", "colour": "red"}, "acme", NOW, prefix="events[3].")

    assert set(flaws(error)) == {
        "events[3].colour",
        "events[3].topic",
        "events[3].lane",
        "events[3].id",
        "events[3].title",
    }


def test_a_record_with_a_key_twice_is_refused_by_the_place() -> None:
    headers = [(f"ce_{name}", str(value).encode()) for name, value in CLOUD.items()]

    with pytest.raises(InvalidInput, match=r"^data\.title: is given twice$"):
        accept_record(b'{"title": "x", "title": "y"}', headers, "acme", NOW)


@pytest.mark.parametrize("body", [None, [], "x", 7])
def test_an_event_is_an_object(body: Any) -> None:
    with pytest.raises(InvalidInput, match="must be a JSON object"):
        accept_plain(body, "acme", NOW)


def test_data_nested_beyond_all_measure_is_refused() -> None:
    data: Any = 1
    for _ in range(200):
        data = {"a": data}

    with pytest.raises(InvalidInput, match="nested deeper"):
        plain(data=data)


def test_a_cloudevents_own_words_come_from_its_attributes_then_from_its_data() -> None:
    data = {"topic": "from data", "priority": "low", "title": "Title", "content": "Text", "lane": "bulk", "more": 1}

    event = accept_cloudevent({**CLOUD, "topic": "from attribute", "colour": "red", "count": 3}, data, "acme", NOW)

    assert (event.topic, event.priority, event.lane) == ("from attribute", "low", "bulk")
    assert (event.data.title, event.data.content, event.data.data) == ("Title", "Text", data)
    assert event.attributes == {"colour": "red", "count": 3}
    assert event.facts()["colour"] == "red"


def test_a_cloudevent_without_words_of_ours_goes_by_its_type_and_subject() -> None:
    event = accept_cloudevent({**CLOUD, "subject": "order 7"}, None, "acme", NOW)

    assert (event.topic, event.data.title) == ("com.example.made", "order 7")


def test_release_and_expiry_may_be_extension_attributes() -> None:
    times = {"releasetime": "2030-01-01T13:00:00Z", "expiresat": "2030-01-01T14:00:00Z"}

    event = accept_cloudevent({**CLOUD, **times}, {}, "acme", NOW)

    assert (event.releasetime, event.expiresat) == (NOW + timedelta(hours=1), NOW + timedelta(hours=2))


def test_the_tenant_is_never_the_senders_word() -> None:
    event = accept_cloudevent({**CLOUD, "tenant": "other", "eventid": "x"}, {"tenant": "other"}, "acme", NOW)

    assert (event.tenant, event.eventid) == ("acme", keys.event_id("acme", "/a", "1"))
    assert event.attributes == {}


@pytest.mark.parametrize(
    ("changed", "pointer"),
    [
        ({"specversion": "0.3"}, "specversion"),
        ({"specversion": None}, "specversion"),
        ({"id": None}, "id"),
        ({"source": None}, "source"),
        ({"type": None}, "type"),
        ({"Bad-Name": "x"}, "Bad-Name"),
        ({"ratio": 1.5}, "ratio"),
        ({"big": 2**31}, "big"),
        ({"topic": 5}, "topic"),
    ],
)
def test_a_cloudevent_that_breaks_a_rule_is_refused_by_place(changed: dict[str, Any], pointer: str) -> None:
    with pytest.raises(InvalidInput) as error:
        accept_cloudevent({**CLOUD, **changed}, {}, "acme", NOW)

    assert pointer in flaws(error)


@pytest.mark.parametrize(
    ("envelope", "data"),
    [
        ({"data": {"a": 1}}, {"a": 1}),
        ({"data": "text"}, "text"),
        ({"data_base64": "eyJhIjoxfQ=="}, {"a": 1}),
        ({"data_base64": "aGVsbG8=", "datacontenttype": "text/plain"}, "hello"),
        ({}, None),
    ],
)
def test_a_structured_cloudevent_brings_its_data(envelope: dict[str, Any], data: Any) -> None:
    assert accept_structured({**CLOUD, **envelope}, "acme", NOW).data.data == data


@pytest.mark.parametrize(
    "envelope",
    [{"data_base64": "%%%"}, {"data_base64": 5}, {"data_base64": "AAEC", "datacontenttype": "image/png"}],
)
def test_data_that_cannot_be_read_is_refused(envelope: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput):
        accept_structured({**CLOUD, **envelope}, "acme", NOW)


def test_the_same_event_on_kafka_in_both_modes_is_the_same_event() -> None:
    data = {"topic": "tech", "title": "Hello"}
    trace = "00-" + "a" * 32 + "-" + "b" * 16 + "-01"
    structured = accept_record(
        json.dumps({**CLOUD, "data": data}).encode(),
        [("Content-Type", b"application/cloudevents+json; charset=utf-8"), ("traceparent", trace.encode())],
        "acme",
        NOW,
    )
    binary = accept_record(
        json.dumps(data).encode(),
        [
            *((f"ce_{name}", value.encode()) for name, value in CLOUD.items()),
            ("content-type", b"application/json"),
            ("traceparent", trace.encode()),
        ],
        "acme",
        NOW,
    )

    assert structured == binary
    assert structured.traceparent == trace


@pytest.mark.parametrize(
    ("value", "headers"),
    [
        (b"{}", []),
        (None, []),
        (b"not json", [("content-type", b"application/cloudevents+json")]),
        (b"[]", [("content-type", b"application/cloudevents+json")]),
        (b"{}", [("ce_id", b"\xff")]),
        (json.dumps(CLOUD).encode(), [("content-type", b"application/cloudevents+json"), ("h\udcff", b"1")]),
        (b"\x00\x01", [("ce_specversion", b"1.0"), ("ce_id", b"1"), ("ce_source", b"/a"), ("ce_type", b"t")]),
        (b"x" * (MAX_EVENT_BYTES + 1), [("content-type", b"application/cloudevents+json")]),
    ],
)
def test_a_record_that_is_no_event_is_refused(value: bytes | None, headers: list[tuple[str, bytes | None]]) -> None:
    with pytest.raises(InvalidInput):
        accept_record(value, headers, "acme", NOW)


def test_a_repetition_looks_the_same_and_another_body_does_not() -> None:
    later = accept_plain(PLAIN, "acme", NOW + timedelta(hours=1), traceparent="00-" + "a" * 32 + "-" + "b" * 16 + "-01")

    assert canonical(plain()) == canonical(later)
    assert canonical(plain()) != canonical(plain(title="Other"))
    assert canonical(plain(data={"a": 1, "b": 2})) == canonical(plain(data={"b": 2, "a": 1}))


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=10,
)


# No deadline and no complaint of slowness: the machine may be busy, and the property says nothing about time.
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(st.sampled_from([*PLAIN, "data", "lane", "recipients", "release_time", "channels"]), _json))
def test_any_json_is_either_an_event_that_can_be_written_or_refused(body: dict[str, Any]) -> None:
    try:
        event = accept_plain(body, "acme", NOW, fallback_id="x")
    except InvalidInput:
        return
    assert msgspec.json.decode(msgspec.json.encode(event), type=Event).eventid == event.eventid
