"""Reads a real log from the outside, as an auditor would: whole topics from offset 0, without a consumer group; and
moves the offsets of a group whose members are stopped."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.structs import OffsetAndMetadata

from libs.common.adapters.kafka.received import received
from libs.common.adapters.kafka.sending import send
from libs.common.ports import Received, Record


class LogReader:
    """An auditor of the brokers at `bootstrap_servers`."""

    def __init__(self, bootstrap_servers: str) -> None:
        self._servers = bootstrap_servers

    async def ends(self, topic: str) -> dict[int, int]:
        """For each partition the offset that the next record will get."""
        async with self._consumer() as consumer:
            return {p.partition: end for p, end in (await consumer.end_offsets(await _assign(consumer, topic))).items()}

    async def read(self, topic: str) -> list[Received]:
        """Every record that is on a topic now."""
        records: list[Received] = []
        async with self._consumer() as consumer:
            partitions = await _assign(consumer, topic)
            ends = await consumer.end_offsets(partitions)
            await consumer.seek_to_beginning(*partitions)
            while any([await consumer.position(p) < ends[p] for p in partitions]):
                for batch in (await consumer.getmany(timeout_ms=200)).values():
                    records += map(received, batch)
        return records

    async def rewind(self, group: str, topic: str) -> None:
        """Let a consumer group, whose members are all stopped, read a topic again from offset 0."""
        async with self._consumer(group_id=group, enable_auto_commit=False) as consumer:
            partitions = await _assign(consumer, topic)
            await consumer.commit({partition: OffsetAndMetadata(0, "") for partition in partitions})

    async def committed(self, group: str, topic: str) -> dict[int, int]:
        """The committed offset of each partition, 0 where there is none."""
        async with self._consumer(group_id=group, enable_auto_commit=False) as consumer:
            return {p.partition: await consumer.committed(p) or 0 for p in await _assign(consumer, topic)}

    async def groups_of(self, prefix: str) -> dict[str, set[str]]:
        """The consumer groups whose names begin with `prefix`, and the topics for which each has committed."""
        async with self._admin() as admin:
            names = [name for name, _ in await admin.list_consumer_groups() if name.startswith(prefix)]
            return {name: {p.topic for p in await admin.list_consumer_group_offsets(name)} for name in names}

    async def lag_of(self, prefix: str) -> int:
        """How many records those groups have yet to finish, on the topics for which they have committed."""
        lag = 0
        for group, topics in (await self.groups_of(prefix)).items():
            for topic in topics:
                done = await self.committed(group, topic)
                lag += sum(end - done[number] for number, end in (await self.ends(topic)).items())
        return lag

    async def create(self, topic: str) -> None:
        """Create a topic with one partition, if it is not there."""
        async with self._admin() as admin:
            await admin.create_topics([NewTopic(topic, 1, 1)])

    async def write(
        self,
        topic: str,
        value: bytes | None,
        *,
        key: bytes | None = None,
        headers: Any = None,
        partition: int | None = None,
    ) -> str:
        """Write what nobody of ours would: any bytes, any headers. Where it stands: `topic/partition/offset`."""
        producer = AIOKafkaProducer(bootstrap_servers=self._servers, acks="all")
        await producer.start()
        try:
            stands = await (await send(producer, Record(topic, value, key, tuple(headers or ())), partition))
        finally:
            await producer.stop()
        return f"{topic}/{stands.partition}/{stands.offset}"

    @asynccontextmanager
    async def _admin(self) -> AsyncIterator[Any]:
        admin = AIOKafkaAdminClient(bootstrap_servers=self._servers)
        await admin.start()
        try:
            yield admin
        finally:
            await admin.close()

    def _consumer(self, **more: Any) -> Any:
        return AIOKafkaConsumer(bootstrap_servers=self._servers, auto_offset_reset="earliest", **more)


def origin_of(letter: Received) -> str:
    """Where the record stands of which this is the dead letter."""
    return (dict(letter.headers)["sigmora-origin"] or b"").decode()


async def _assign(consumer: Any, topic: str) -> list[Any]:
    await consumer._client.force_metadata_update()
    partitions = [TopicPartition(topic, number) for number in sorted(consumer.partitions_for_topic(topic) or ())]
    consumer.assign(partitions)
    return partitions
