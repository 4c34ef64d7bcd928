"""Following a topic without a group, on the real Kafka."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, RecordsToDelete
from aiokafka.errors import LeaderNotAvailableError

from deploy.local.server import Server
from deploy.local.servers import own_kafka
from libs.common.adapters.kafka.changes import KafkaChanges
from libs.common.domain.errors import Unavailable
from libs.common.ports import Received, Stale
from libs.common.settings import KafkaSettings
from libs.common.testing.log_reader import LogReader
from libs.common.testing.waiting import eventually

pytestmark = pytest.mark.integration

_getmany = AIOKafkaConsumer.getmany


@pytest.fixture
async def reader(stack: Any) -> LogReader:
    return LogReader(stack.kafka_bootstrap_servers)


@pytest.fixture
async def topic(reader: LogReader, topic_prefix: str) -> str:
    name = f"{topic_prefix}changes"
    await reader.create(name)
    return name


@pytest.fixture
async def changes(stack: Any, topic: str) -> KafkaChanges:
    return await following_from_now(stack.kafka_bootstrap_servers, topic)


async def following_from_now(address: str, topic: str) -> KafkaChanges:
    """A topic that was just created may take a moment to be known to the broker that answers."""
    changes = KafkaChanges(KafkaSettings(bootstrap_servers=address), topic)

    async def known() -> bool:
        try:
            return bool(await changes.ends())
        except Unavailable:
            return False

    await eventually(known)
    return changes


@pytest.fixture
async def admin(stack: Any) -> AsyncIterator[AIOKafkaAdminClient]:
    client = AIOKafkaAdminClient(bootstrap_servers=stack.kafka_bootstrap_servers)
    await client.start()
    yield client
    await client.close()


async def following(stream: AsyncIterator[list[Received]], wanted: int) -> list[bytes | None]:
    """The next values, as many as wanted."""
    values: list[bytes | None] = []
    async with asyncio.timeout(30):
        while len(values) < wanted:
            values += [record.value for record in await anext(stream)]
    return values


async def test_it_gives_what_comes_after_a_position_as_it_came(
    changes: KafkaChanges, reader: LogReader, topic: str
) -> None:
    await reader.write(topic, b"before")
    ends = await changes.ends()

    async with aclosing(changes.since(ends)) as stream:  # type: ignore[type-var]  # an async generator
        await reader.write(topic, b"1", headers=[("null", None)])
        await reader.write(topic, None, key=b"gone")

        assert ends == {0: 1}
        assert await following(stream, 2) == [b"1", None]
    async with aclosing(changes.since({0: 0})) as stream:  # type: ignore[type-var]  # as above
        assert await following(stream, 3) == [b"before", b"1", None]


async def test_a_topic_that_does_not_exist_is_waited_for(stack: Any, topic_prefix: str) -> None:
    settings = KafkaSettings(bootstrap_servers=stack.kafka_bootstrap_servers)

    with pytest.raises(Unavailable, match="does not exist"):
        await KafkaChanges(settings, f"{topic_prefix}nothing").ends()


async def test_an_absent_kafka_is_unavailable() -> None:
    with pytest.raises(Unavailable):
        await KafkaChanges(KafkaSettings(bootstrap_servers="127.0.0.1:1"), "any").ends()


async def test_records_that_expired_before_they_were_read_make_it_stale(
    changes: KafkaChanges, reader: LogReader, topic: str, admin: AIOKafkaAdminClient
) -> None:
    for value in (b"1", b"2", b"3"):
        await reader.write(topic, value)
    await admin.delete_records({TopicPartition(topic, 0): RecordsToDelete(before_offset=2)})

    async with aclosing(changes.since({0: 0})) as stream:  # type: ignore[type-var]  # as above
        with pytest.raises(Stale):
            await following(stream, 1)


async def test_a_topic_that_was_cut_makes_it_stale(changes: KafkaChanges) -> None:
    async with aclosing(changes.since({0: 1_000})) as stream:  # type: ignore[type-var]  # as above
        with pytest.raises(Stale):
            await following(stream, 1)


async def test_new_partitions_make_it_stale(
    changes: KafkaChanges, topic: str, admin: AIOKafkaAdminClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("libs.common.adapters.kafka.changes._METADATA_MAX_AGE_MS", 300)
    async with aclosing(changes.since({0: 0})) as stream:  # type: ignore[type-var]  # as above
        await anext(stream)
        await admin.create_partitions({topic: NewPartitions(3)})

        with pytest.raises(Stale, match="partitions"):
            await following(stream, 1)


async def test_a_position_that_never_gets_its_records_makes_it_stale(
    changes: KafkaChanges, reader: LogReader, topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A consumer whose fetching died in silence looks like a topic on which nothing happens."""
    monkeypatch.setattr("libs.common.adapters.kafka.changes._CHECK_EVERY", 0.1)
    monkeypatch.setattr("libs.common.adapters.kafka.changes.AIOKafkaConsumer.getmany", _nothing)
    await reader.write(topic, b"1")
    async with aclosing(changes.since({0: 0})) as stream:  # type: ignore[type-var]  # as above
        with pytest.raises(Stale, match="no record came"):
            await following(stream, 1)


async def test_that_nothing_is_missing_is_said_only_when_the_brokers_confirm_it(
    changes: KafkaChanges, reader: LogReader, topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the topic out of reach it said each second that nothing was new, and an old index looked ready."""
    monkeypatch.setattr("libs.common.adapters.kafka.changes._CHECK_EVERY", 0.0)
    asked = asyncio.Event()

    async def refuse(*_: Any) -> None:
        asked.set()
        raise LeaderNotAvailableError

    async with aclosing(changes.since({0: 0})) as stream:  # type: ignore[type-var]  # as above
        assert await anext(stream) == []

        with monkeypatch.context() as out_of_reach:
            out_of_reach.setattr("libs.common.adapters.kafka.changes.AIOKafkaConsumer.end_offsets", refuse)
            pending = asyncio.create_task(following_whole(stream))
            await asked.wait()
            await reader.write(topic, b"1")
            assert await pending == [[b"1"]]

        assert await anext(stream) == []


async def following_whole(stream: AsyncIterator[list[Received]]) -> list[list[bytes | None]]:
    """Everything up to the first records, the empty lists too."""
    given: list[list[bytes | None]] = []
    while not any(given):
        given.append([record.value for record in await anext(stream)])
    return given


async def test_a_partition_that_gets_no_records_makes_it_stale_whatever_the_others_get(
    changes: KafkaChanges, reader: LogReader, topic: str, admin: AIOKafkaAdminClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Any record of another partition counted as a sign of health."""
    await admin.create_partitions({topic: NewPartitions(2)})

    async def has_both() -> bool:
        return len(await changes.ends()) == 2

    await eventually(has_both)
    await reader.write(topic, b"never seen", partition=0)
    for _ in range(20):
        await reader.write(topic, b"seen", partition=1)
    monkeypatch.setattr("libs.common.adapters.kafka.changes._CHECK_EVERY", 0.0)
    monkeypatch.setattr("libs.common.adapters.kafka.changes.AIOKafkaConsumer.getmany", _one_of_the_second)

    async with aclosing(changes.since({0: 0, 1: 0})) as stream:  # type: ignore[type-var]  # as above
        with pytest.raises(Stale, match="no record came"):
            await following(stream, 20)


async def _one_of_the_second(consumer: Any, **_: Any) -> Any:
    (second,) = (partition for partition in consumer.assignment() if partition.partition == 1)
    return await _getmany(consumer, second, timeout_ms=1_000, max_records=1)


async def _nothing(*_: Any, **__: Any) -> dict[str, Any]:
    await asyncio.sleep(0.01)
    return {}


@pytest.fixture
def mortal_kafka(tmp_path: Path) -> Iterator[tuple[Server, str]]:
    """A Kafka that may be killed."""
    with own_kafka(tmp_path) as kafka:
        yield kafka


async def test_it_goes_on_by_itself_after_kafka_was_away(mortal_kafka: tuple[Server, str]) -> None:
    """F7."""
    server, address = mortal_kafka
    reader = LogReader(address)
    await reader.create("changes")
    changes = await following_from_now(address, "changes")
    async with aclosing(changes.since(await changes.ends())) as stream:  # type: ignore[type-var]  # as above
        await reader.write("changes", b"1")
        assert await following(stream, 1) == [b"1"]
        pending = asyncio.create_task(following(stream, 1))

        for step in (server.kill, server.start, server.await_ready):
            await asyncio.to_thread(step)
        await reader.write("changes", b"2")

        assert await pending == [b"2"]
