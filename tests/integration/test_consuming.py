"""The consumers' foundation on a real Kafka: what a handler gets, what a failure does, what a commit means."""

import asyncio
import re
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from operator import attrgetter
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.codec import zstd_encode

from libs.common.adapters.kafka import batches, polling
from libs.common.adapters.kafka.admin import Wanted, open_admin, plan
from libs.common.adapters.kafka.consuming import Consumption, build_broker, next_offsets
from libs.common.adapters.kafka.progress import Progress
from libs.common.adapters.kafka.sending import send
from libs.common.domain.errors import Unavailable
from libs.common.ports import Received, Record
from libs.common.settings import KafkaSettings
from libs.common.testing.batches import PackedBatch, pack_batch, pack_record
from libs.common.testing.waiting import eventually

pytestmark = pytest.mark.integration


@pytest.fixture
def kafka(stack: Any) -> KafkaSettings:
    return KafkaSettings(bootstrap_servers=stack.kafka_bootstrap_servers)


@pytest.fixture
async def topic(kafka: KafkaSettings, topic_prefix: str) -> str:
    """A new topic of two partitions."""
    return await create_topic(kafka, f"{topic_prefix}words")


async def create_topic(kafka: KafkaSettings, name: str) -> str:
    wants = {name: Wanted(name, 2, 1, {"cleanup.policy": "delete"})}
    async with open_admin(kafka) as admin:
        await admin.apply(plan(wants.values(), {}), wants)
    return name


async def produce(
    kafka: KafkaSettings,
    topic: str,
    *values: bytes | None,
    key: bytes | None = None,
    headers: Sequence[tuple[str, bytes | None]] = (),
    partition: int = 0,
) -> None:
    """Writes values to one partition, in order, each as a batch of its own."""
    async with a_producer(kafka) as producer:
        for value in values:
            await (await send(producer, Record(topic, value, key, tuple(headers)), partition))


async def produce_packed(kafka: KafkaSettings, topic: str, packed: bytes, records: int) -> None:
    """Writes a batch as it is to partition 0."""
    async with a_producer(kafka) as producer:
        await (await producer.send_batch(PackedBatch(packed, records), topic, partition=0))


@asynccontextmanager
async def a_producer(kafka: KafkaSettings) -> AsyncIterator[AIOKafkaProducer]:
    producer = AIOKafkaProducer(bootstrap_servers=kafka.bootstrap_servers)
    await producer.start()
    try:
        yield producer
    finally:
        await producer.stop()


async def committed(kafka: KafkaSettings, group: str, topic: str) -> int | None:
    consumer = AIOKafkaConsumer(bootstrap_servers=kafka.bootstrap_servers, group_id=group, enable_auto_commit=False)
    await consumer.start()
    try:
        offset: int | None = await consumer.committed(TopicPartition(topic, 0))
        return offset
    finally:
        await consumer.stop()


class Reader:
    """Collects what it is given, commits it, and fails as often as it is told."""

    def __init__(self, kafka: KafkaSettings, *topics: str, pattern: str | None = None, group: str = "") -> None:
        self.broker = build_broker(kafka, "test", metadata_max_age=timedelta(milliseconds=300))
        group = group or f"group-{uuid.uuid4()}"
        self.consumption = Consumption(self.broker, self.read, group_id=group, topics=topics, pattern=pattern)
        self.seen: list[Received] = []
        self.failures: list[Exception] = []
        self.before_commit: Callable[[], Awaitable[None]] | None = None

    async def read(self, records: list[Received]) -> None:
        if self.failures:
            raise self.failures.pop()
        self.seen += records
        if self.before_commit is not None:
            await self.before_commit()
        await self.consumption.commit(next_offsets(records))

    @property
    def values(self) -> list[bytes | None]:
        return [record.value for record in self.seen]

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Reader"]:
        await self.broker.start()
        try:
            yield self
        finally:
            await self.broker.stop()


async def test_a_handler_gets_records_as_they_came(kafka: KafkaSettings, topic: str) -> None:
    await produce(kafka, topic, b"hello", key=b"\xff\x00", headers=[("one", b"1")])

    async with Reader(kafka, topic).running() as reader:
        await eventually(lambda: len(reader.seen) == 1)

    (record,) = reader.seen
    assert (record.topic, record.partition, record.offset) == (topic, 0, 0)
    assert (record.key, record.value, record.headers) == (b"\xff\x00", b"hello", (("one", b"1"),))
    assert record.timestamp_ms > 0


async def test_unreadable_headers_bodies_and_tombstones_reach_the_handler(kafka: KafkaSettings, topic: str) -> None:
    """F22: FastStream's own parser would pass over every one of these in silence."""
    await produce(kafka, topic, b"null header", headers=[("h", None)])
    await produce(kafka, topic, b"binary header", headers=[("h", b"\xff\xfe"), ("content-type", b"application/json")])
    await produce(kafka, topic, b"{bad json", headers=[("content-type", b"application/json")])
    await produce(kafka, topic, None, key=b"gone", headers=[("content-type", b"application/json")])
    await produce(kafka, topic, b"\xff\xfe\x00", headers=[("reply_to", topic.encode())])
    await produce(kafka, topic, None)
    await produce(kafka, topic, b"binary name", headers=[("\udcff", b"x")])

    async with Reader(kafka, topic).running() as reader:
        await eventually(lambda: len(reader.seen) == 7)

    assert reader.values == [
        b"null header",
        b"binary header",
        b"{bad json",
        None,
        b"\xff\xfe\x00",
        None,
        b"binary name",
    ]
    assert reader.seen[0].headers == (("h", None),)
    assert reader.seen[1].headers[0] == ("h", b"\xff\xfe")
    assert [reader.seen[number].key for number in (3, 5)] == [b"gone", None]
    assert [(name.encode(errors="surrogateescape"), value) for name, value in reader.seen[6].headers] == [
        (b"\xff", b"x")
    ]


async def test_a_batch_that_nobody_can_read_is_passed_in_one_piece(kafka: KafkaSettings, topic: str) -> None:
    """Brokers do not look into what is compressed, beyond counting; its partition stood still for good."""
    lies = (pack_record(b"lies", claimed_length=100, place=0), pack_record(b"hidden", place=1))
    packed = pack_batch(*lies, codec=4, compress=zstd_encode)
    await produce_packed(kafka, topic, packed, records=2)
    await produce(kafka, topic, b"next")

    async with Reader(kafka, topic, group=topic).running() as reader:
        await eventually(lambda: len(reader.seen) == 2)

    piece, after = reader.seen
    assert (piece.value or b"")[16:] == packed[16:]  # what comes before is the broker's to fill in
    assert (after.offset, after.value) == (2, b"next")
    assert await committed(kafka, topic, topic) == 3


async def test_a_partition_that_cannot_be_read_costs_the_others_nothing_and_is_read_later(
    kafka: KafkaSettings, topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What had been taken from other partitions in the same poll was thrown away, and the next commit passed over it;
    then nothing at all was read for five seconds, again and again."""
    damaged = [b"damaged"]
    monkeypatch.setattr(polling, "_REST", 0.1)
    monkeypatch.setattr(
        batches._Batch,
        "validate_crc",
        lambda batch: not any(mark in bytes(batch._raw) for mark in damaged),
        raising=False,
    )
    await produce(kafka, topic, b"1", b"2", b"damaged", b"3")
    await produce(kafka, topic, *map(str.encode, "abcdef"), partition=1)

    async with Reader(kafka, topic).running() as reader:
        await eventually(lambda: len(reader.seen) == 8)
        await eventually(lambda: reader.consumption.consumer.unreadable.keys() == {TopicPartition(topic, 0)})  # type: ignore[union-attr]  # running
        with pytest.raises(Unavailable, match=f"{topic}/0 cannot be read: CorruptRecordException"):
            await reader.consumption.ready()
        assert values_of(reader, 0) == [b"1", b"2"]
        assert values_of(reader, 1) == [*map(str.encode, "abcdef")]

        damaged.clear()
        await eventually(lambda: len(reader.seen) == 10)
        assert values_of(reader, 0) == [b"1", b"2", b"damaged", b"3"]
        assert await reader.consumption.ready() == {"partitions": 2, "lag": 0}


def values_of(reader: Reader, partition: int) -> list[bytes | None]:
    return [record.value for record in reader.seen if record.partition == partition]


@pytest.mark.parametrize("error", [Unavailable("away"), RuntimeError("a defect")])
async def test_a_batch_that_failed_comes_again_before_anything_later(
    kafka: KafkaSettings, topic: str, error: Exception
) -> None:
    await produce(kafka, topic, b"1", b"2", b"3")
    reader = Reader(kafka, topic)
    reader.failures = [error, error]

    async with reader.running():
        await eventually(lambda: reader.failures == [])
        await produce(kafka, topic, b"4")
        await eventually(lambda: len(reader.seen) >= 4)

        assert reader.values == [b"1", b"2", b"3", b"4"]
        await eventually(lambda: reader.consumption.failures == 0)


async def test_a_commit_is_where_the_next_member_goes_on(kafka: KafkaSettings, topic: str) -> None:
    await produce(kafka, topic, b"1", b"2")
    async with Reader(kafka, topic, group=topic).running() as first:
        await eventually(lambda: len(first.seen) == 2)
    await produce(kafka, topic, b"3")

    async with Reader(kafka, topic, group=topic).running() as second:
        await eventually(lambda: len(second.seen) >= 1)

    assert await committed(kafka, topic, topic) == 3
    assert second.values == [b"3"]


async def test_what_was_not_committed_comes_again_to_the_next_member(kafka: KafkaSettings, topic: str) -> None:
    await produce(kafka, topic, b"1")
    reader = Reader(kafka, topic, group=topic)
    reader.failures = [Unavailable("away")] * 100

    async with reader.running():
        await eventually(lambda: reader.consumption.failures > 0)
        with pytest.raises(Unavailable):
            await reader.consumption.ready()
        reader.failures = reader.failures[:1]

    async with Reader(kafka, topic, group=topic).running() as second:
        await eventually(lambda: len(second.seen) == 1)


async def test_a_commit_after_the_partitions_went_elsewhere_says_no(kafka: KafkaSettings, topic: str) -> None:
    async with Reader(kafka, topic).running() as reader:
        await eventually(lambda: len(reader.consumption.consumer.assignment()) == 2)  # type: ignore[union-attr]  # running

        assert await reader.consumption.commit({TopicPartition("elsewhere", 0): 1}) is False
        assert await reader.consumption.commit({}) is False


async def test_lag_counts_what_is_not_yet_handed_over(kafka: KafkaSettings, topic: str) -> None:
    reader = Reader(kafka, topic)
    go_on = asyncio.Event()

    async def wait() -> None:
        await go_on.wait()

    async with reader.running():
        await produce(kafka, topic, b"1")
        await eventually(lambda: sum(reader.consumption.lag().values()) == 0 and len(reader.seen) == 1)
        reader.before_commit = wait
        await produce(kafka, topic, b"2")
        await eventually(lambda: len(reader.seen) == 2)
        await produce(kafka, topic, b"3", b"4")
        await eventually(lambda: sum(reader.consumption.lag().values()) > 0)  # what the last fetch told
        go_on.set()
        await eventually(lambda: len(reader.seen) == 4)

        assert (await reader.consumption.ready())["lag"] == 0


@pytest.mark.parametrize("which", ["_coordinator._coordination_task", "_fetcher._fetch_task"])
async def test_a_member_is_dead_once_its_coordination_or_its_fetching_has_ended(
    kafka: KafkaSettings, topic: str, which: str
) -> None:
    """The private attributes that the watchdog looks at exist in this aiokafka, and mean what they should."""
    async with Reader(kafka, topic).running() as reader:
        assert not reader.consumption.dead()
        task: asyncio.Task[None] = attrgetter(which)(reader.consumption.consumer)

        task.cancel()
        await eventually(task.done)

        assert reader.consumption.dead()
        with pytest.raises(Unavailable):
            await reader.consumption.ready()


async def test_a_member_is_dead_whose_loop_fails_again_and_again(
    kafka: KafkaSettings, topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """FastStream starts a loop again at once, without end: it looked well, and read nothing."""

    async def fail(*_: object, **__: object) -> None:
        await asyncio.sleep(0.01)
        raise RuntimeError("a defect")

    async with Reader(kafka, topic).running() as reader:
        monkeypatch.setattr(reader.consumption.consumer, "getmany", fail)
        await eventually(reader.consumption.dead)

        monkeypatch.undo()
        await produce(kafka, topic, b"1")
        await eventually(lambda: not reader.consumption.dead())


async def test_a_member_that_polls_no_more_stands_still_once_there_is_something_to_read(
    kafka: KafkaSettings, topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    hanging = asyncio.Event()

    async def hang(*_: object, **__: object) -> None:
        hanging.set()
        await asyncio.Event().wait()

    async with Reader(kafka, topic).running() as reader:
        progress = Progress(reader.consumption)
        await produce(kafka, topic, b"1")
        await eventually(lambda: len(reader.seen) == 1)
        assert [await progress.stands_still() for _ in range(2)] == [False, False]

        monkeypatch.setattr(reader.consumption.consumer, "getmany", hang)
        await hanging.wait()
        await produce(kafka, topic, b"2")
        assert [await progress.stands_still() for _ in range(3)] == [False, True, True]

        reader.consumption.consumer.pause(TopicPartition(topic, 0))  # type: ignore[union-attr]  # running
        assert await progress.stands_still() is False


async def test_a_member_is_not_dead_before_its_start_and_after_its_stop(kafka: KafkaSettings, topic: str) -> None:
    reader = Reader(kafka, topic)
    before = reader.consumption.dead()
    async with reader.running():
        pass

    assert (before, reader.consumption.dead()) == (False, False)


async def test_a_topic_made_later_is_found_by_its_pattern(kafka: KafkaSettings, topic_prefix: str) -> None:
    mine, other = f"{topic_prefix}in.acme", f"{topic_prefix}inn.acme"

    async with Reader(kafka, pattern=rf"^{re.escape(topic_prefix)}in\..+").running() as reader:
        for topic in (mine, other):
            await create_topic(kafka, topic)
            await produce(kafka, topic, topic.encode())
        await eventually(lambda: len(reader.seen) == 1)

    assert reader.values == [mine.encode()]


async def test_consumers_start_after_what_they_wait_for_and_outlast_an_absent_kafka(kafka: KafkaSettings) -> None:
    """F31: nothing is down for good because Kafka was not there yet."""
    waited = asyncio.Event()
    away = kafka.model_copy(update={"bootstrap_servers": "127.0.0.1:1"})
    broker = build_broker(away, "test", before_start=waited.wait)
    consumption = Consumption(broker, Reader(kafka, "unused").read, group_id="g", topics=["nothing"])
    starting = asyncio.create_task(broker.start())
    await asyncio.sleep(0)
    assert consumption.consumer is None

    waited.set()
    done, _ = await asyncio.wait([starting], timeout=2.5)
    assert not done
    starting.cancel()
    await asyncio.gather(starting, return_exceptions=True)
    await broker.stop()
