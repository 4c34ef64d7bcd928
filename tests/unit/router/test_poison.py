"""What cannot be read goes to the dead letters byte for byte, and the records around it are routed."""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from libs.common.domain.channels import Channel
from libs.common.domain.messages import Event
from libs.common.ports import Received
from libs.common.topics import LARGEST_RECORD

MakeEvent = Callable[..., Event]
MakeRecord = Callable[..., Received]

GOOD = {"id": "1", "source": "/shop", "time": "2026-03-02T12:00:00Z", "tenant": "acme"}
EVENT_ID = "b2633aa1-0351-5778-9e97-f1b7995165ba"


def encoded(**changes: Any) -> bytes:
    return msgspec.json.encode({**GOOD, "eventid": EVENT_ID, **changes})


def nested(levels: int) -> bytes:
    return encoded(data={"data": 1}).replace(b'"data":1', b'"data":' + b"[" * levels + b"]" * levels)


POISON: list[tuple[str, dict[str, Any]]] = [
    ("no JSON", {"value": b"{not json"}),
    ("no UTF-8", {"value": b"\xff\xfe\x00"}),
    ("nothing", {"value": b""}),
    ("a tombstone", {"value": None}),
    ("nothing at all", {"value": None, "key": None}),
    ("no object", {"value": b"[1]"}),
    ("a field missing", {"value": msgspec.json.encode(GOOD)}),
    ("a wrong type", {"value": encoded(topic=7)}),
    ("an unknown lane", {"value": encoded(lane="express")}),
    ("an unknown channel", {"value": encoded(data={"channels": ["PIGEON"]})}),
    ("an unknown version", {"value": encoded(specversion="2.0")}),
    ("an event id of another event", {"value": encoded(eventid="b2633aa1-0351-5778-9e97-f1b7995165bb")}),
    ("an event id of another tenant", {"value": encoded(tenant="other")}),
    ("a time without a zone", {"value": encoded(time="2026-03-02T12:00:00")}),
    ("a release time without a zone", {"value": encoded(releasetime="2026-03-02T12:00:00")}),
    ("an expiry without a zone", {"value": encoded(expiresat="2026-03-02T12:00:00")}),
    ("a half surrogate", {"value": encoded().replace(b'"/shop"', b'"\\ud800"')}),
    ("too deep for filters", {"value": nested(150)}),
    ("too deep for JSON", {"value": nested(9_999)}),
    (
        "variables too deep to be written again",
        {"value": nested(970).replace(b'"data":[', b'"variables":{"a":[', 1)[:-1] + b"}}"},
    ),
    ("larger unpacked than any record", {"value": encoded(data={"content": "x" * LARGEST_RECORD})}),
    (
        "more recipients than an event may name",
        {"value": encoded(data={"recipients": [f"u{n}" for n in range(10_001)]})},
    ),
    ("a null header", {"value": encoded(), "headers": (("h", None),)}),
    ("a binary header", {"value": encoded(), "headers": (("h", b"\xff\xfe"),)}),
    ("a binary name of a header", {"value": encoded(), "headers": (("h\udcff", b"x"),)}),
]


@pytest.mark.parametrize("changes", [changes for _, changes in POISON], ids=[name for name, _ in POISON])
async def test_a_poison_record_is_kept_byte_for_byte_and_the_next_is_routed(
    world: Any, an_event: MakeEvent, a_record: MakeRecord, changes: dict[str, Any]
) -> None:
    """F22."""
    world.join("ann", channels=(Channel.EMAIL,))
    poison = a_record(**{"key": b"\xff", "offset": 4, **changes})

    await world.route(poison, a_record(an_event(2), offset=5))

    (letter,) = world.log.of("dead-letters")
    ours = dict(letter.headers[len(poison.headers) :])
    assert (letter.value, letter.key) == (poison.value, poison.key)
    assert letter.headers[: len(poison.headers)] == poison.headers
    assert ours["sigmora-origin"] == b"events.standard/0/4"
    assert (ours["sigmora-error"] or b"").startswith(b"Poison: ")
    assert world.deliveries == [("ann", "EMAIL")]
    assert list(world.committed.values()) == [6]


def test_the_good_record_of_the_table_is_an_event(an_event: MakeEvent) -> None:
    """So that every row above is refused for what it says and nothing else."""
    assert msgspec.json.decode(encoded(), type=Event).eventid == an_event(1).eventid == EVENT_ID


async def test_a_record_that_upstream_produced_itself_is_of_the_tenant_of_its_topic(
    world: Any, a_record: MakeRecord
) -> None:
    world.join("ann", channels=(Channel.EMAIL,))
    world.join("eve", channels=(Channel.EMAIL,), tenant="victim")
    binary = (
        ("ce_specversion", b"1.0"),
        ("ce_id", b"7"),
        ("ce_source", b"/till"),
        ("ce_type", b"sale"),
        ("ce_tenant", b"victim"),
        ("content-type", b"application/json"),
    )

    await world.route(
        a_record(b'{"title": "Sold", "tenant": "victim"}', "ingest.acme", headers=binary),
        a_record(b"{}", "ingest.acme", headers=(("ce_id", b"7"),)),
        a_record(None, "ingest.acme"),
    )

    assert world.deliveries == [("ann", "EMAIL")]
    assert world.batches[0].event.tenant == "acme"
    assert [letter.value for letter in world.log.of("dead-letters")] == [b"{}", None]


async def test_an_event_of_another_tenant_than_its_topic_is_refused_whoever_made_it(
    world: Any, an_event: MakeEvent, a_record: MakeRecord
) -> None:
    world.join("eve", channels=(Channel.EMAIL,), tenant="victim")
    world.accept = lambda *_: an_event(tenant="victim")

    await world.route(a_record(b"{}", "ingest.acme"))

    assert world.deliveries == []
    assert len(world.log.of("dead-letters")) == 1


@pytest.mark.parametrize(
    "changes",
    [
        {"headers": (("big", b"y" * 2_000_000),)},
        {"headers": (("sigmora-origin", b"y" * 2_000_000),)},
        {"headers": tuple((f"sigmora-{number}", b"") for number in range(100_000))},
        {"headers": (("n" * 2_000_000, b"y"),)},
        {"key": b"k" * 2_000_000},
        {"key": None, "value": None, "headers": (("sigmora-x", b"y" * 2_000_000),)},
    ],
    ids=["a header", "one like ours", "many like ours", "a name", "the key", "all that there is"],
)
async def test_no_record_is_too_large_to_be_buried(
    world: Any, an_event: MakeEvent, a_record: MakeRecord, changes: dict[str, Any]
) -> None:
    """The sender's own headers that began as ours do were kept whole: the dead letter could never be written, and the
    partition stood still for good."""
    world.join("ann", channels=(Channel.EMAIL,))
    huge = a_record(**{"value": b"{}", **changes})

    await world.route(huge, a_record(an_event(1)))

    (letter,) = world.log.of("dead-letters")
    assert dict(letter.headers)["sigmora-origin"] == huge.origin.encode()
    assert "sigmora-truncated-from" in dict(letter.headers)
    assert (letter.value, letter.key) == (huge.value, huge.key and huge.key[:512])
    assert world.deliveries == [("ann", "EMAIL")]


async def test_a_record_too_large_even_for_a_dead_letter_is_shortened_and_marked(
    world: Any, a_record: MakeRecord
) -> None:
    huge = a_record(b"x" * 2_000_000, headers=(("big", b"y" * 100),))

    await world.route(huge, a_record(b"small"))

    letters = world.log.of("dead-letters")
    assert [len(letter.value or b"") for letter in letters] == [262_144, 5]
    assert dict(letters[0].headers)["sigmora-truncated-from"] == b"2000000"
    assert dict(letters[0].headers)["sigmora-origin"] == huge.origin.encode()
