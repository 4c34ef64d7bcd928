"""What of a record can be worked with, and what is poison."""

from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from libs.common.domain.channels import Channel
from libs.common.domain.errors import Poison
from libs.common.domain.messages import DeliveryBatch
from libs.common.ports import Received
from services.dispatcher.reading import read_batch, read_retry, read_retry_record
from services.dispatcher.records import retry_of

NOON = datetime(2024, 5, 1, 12, 0, tzinfo=UTC)


def encoded(value, **changes):
    """A value as it stands on the log, with fields changed; None removes one."""
    fields = msgspec.to_builtins(value) | changes
    return msgspec.json.encode({name: content for name, content in fields.items() if content is not None})


@pytest.fixture
def batch(world):
    return DeliveryBatch(event=world.event(), channel=Channel.EMAIL, subscribers=("ann", "ben", "ann"))


@pytest.fixture
def retry(world):
    return retry_of(world.work("ann"), 2, NOON, NOON, "http_503")


def test_a_batch_becomes_one_delivery_for_each_subscriber(world, batch):
    works = read_batch(encoded(batch), (), Channel.EMAIL)
    assert [each.subscriber_id for each in works] == ["ann", "ben"]
    assert works[0] == world.work("ann")


def test_another_generation_is_another_delivery(batch):
    first, forced = (read_batch(encoded(batch, generation=number), (), Channel.EMAIL)[0] for number in (0, 1))
    assert first.delivery_id != forced.delivery_id


def test_a_retry_record_says_which_attempt_and_when(world, retry):
    work, due = read_retry(encoded(retry), (("trace", b"1"),), Channel.EMAIL)
    assert (work.attempt, work.delivery_id, due) == (2, world.work("ann").delivery_id, NOON)


def record_of(retry, written):
    return Received("t.deliveries.email.retry.1", 0, 0, None, encoded(retry), (), written)


@pytest.mark.parametrize("due_in", [timedelta(minutes=1), timedelta(hours=1)])
def test_what_a_longer_schedule_put_off_is_still_sent(retry, due_in):
    """After the schedule was shortened it became a dead letter, and its delivery waited for ever."""
    waits = msgspec.structs.replace(retry, due_at=NOON + due_in)
    _, due = read_retry_record(Channel.EMAIL, timedelta(minutes=10), record_of(waits, NOON.timestamp() * 1000))
    assert due == NOON + due_in


def test_what_would_block_its_partition_for_ever_is_poison(retry):
    waits = msgspec.structs.replace(retry, due_at=NOON + timedelta(days=8))
    with pytest.raises(Poison, match="later than any tier"):
        read_retry_record(Channel.EMAIL, timedelta(minutes=10), record_of(waits, NOON.timestamp() * 1000))


@pytest.mark.parametrize("written", [-(10**15), 10**18, -(2**63)])
def test_a_record_from_no_time_that_exists_is_poison(retry, written):
    """It was read again and again, and its partition stood still."""
    with pytest.raises(Poison, match="no time"):
        read_retry_record(Channel.EMAIL, timedelta(minutes=10), record_of(retry, written))


def test_fields_of_a_later_version_are_left_alone(batch):
    assert len(read_batch(encoded(batch, colour="blue"), (), Channel.EMAIL)) == 2


@pytest.mark.parametrize(
    "value", [None, b"", b"{", b"[]", b"null", b"\xff", b'{"event": ' * 5000], ids=lambda value: repr(value)[:12]
)
def test_what_is_no_record_is_poison(value):
    for read in (read_batch, read_retry):
        with pytest.raises(Poison):
            read(value, (), Channel.EMAIL)


@pytest.mark.parametrize(
    "headers", [(("a", None),), (("a", b"\xff"),), (("a\udcff", b"x"),)], ids=["no value", "not text", "no name"]
)
def test_unreadable_headers_are_poison(batch, headers):
    with pytest.raises(Poison, match="'a"):
        read_batch(encoded(batch), headers, Channel.EMAIL)


def test_the_wrong_topic_is_poison(batch, retry):
    with pytest.raises(Poison, match="EMAIL in a topic of SMS"):
        read_batch(encoded(batch), (), Channel.SMS)
    with pytest.raises(Poison, match="EMAIL in a topic of SMS"):
        read_retry(encoded(retry), (), Channel.SMS)


@pytest.mark.parametrize("change", [{"channel": "PIGEON"}, {"event": None}, {"subscribers": "ann"}, {"generation": -1}])
def test_a_batch_with_a_wrong_field_is_poison(batch, change):
    with pytest.raises(Poison):
        read_batch(encoded(batch, **change), (), Channel.EMAIL)


@pytest.mark.parametrize("field", ["time", "expiresat"])
def test_a_time_without_a_zone_is_poison(batch, field):
    event = msgspec.to_builtins(batch.event) | {field: "2024-05-01T12:00:00"}
    with pytest.raises(Poison, match="time zone"):
        read_batch(encoded(batch, event=event), (), Channel.EMAIL)


@pytest.mark.parametrize(
    "change",
    [
        {"attempt": 0},
        {"due_at": "2024-05-01T12:00:00"},
        {"first_at": "2024-05-01T12:00:00"},
        {"due_at": None},
        {"delivery_id": "somebody else's"},
        {"subscriber_id": "ben"},
    ],
    ids=str,
)
def test_a_retry_with_a_wrong_field_is_poison(retry, change):
    with pytest.raises(Poison):
        read_retry(encoded(retry, **change), (), Channel.EMAIL)
