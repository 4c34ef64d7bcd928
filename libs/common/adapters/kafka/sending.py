"""Hands one record to a producer, whatever its state: a dead letter must be what was given up, byte for byte, and
aiokafka's `send` refuses some records that Kafka takes. Knows nothing of acknowledgements and failures."""

import random
from asyncio import Future
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.producer.message_accumulator import BatchBuilder
from aiokafka.record.default_records import _DefaultRecordBatchBuilderPy

from libs.common.domain.record_headers import is_text
from libs.common.ports import Record


async def send(producer: AIOKafkaProducer, record: Record, partition: int | None = None) -> Future[Any]:
    """Give the record to the producer; the future tells how it went. Without a partition the key decides."""
    nothing = record.key is None and record.value is None
    if nothing or not all(is_text(name) for name, _ in record.headers):
        return await _send_alone(producer, record, partition)
    headers = [*record.headers]
    sent: Future[Any] = await producer.send(record.topic, record.value, record.key, partition, headers=headers)
    return sent


async def _send_alone(producer: AIOKafkaProducer, record: Record, partition: int | None) -> Future[Any]:
    """As a batch of its own, of which aiokafka asks less."""
    if partition is None:
        partitions = sorted(await producer.partitions_for(record.topic))
        partition = random.choice(partitions)  # noqa: S311 - it spreads load, it keeps no secret
    sent: Future[Any] = await producer.send_batch(_Single(record), record.topic, partition=partition)
    return sent


class _Single(BatchBuilder):  # type: ignore[misc]  # aiokafka has no type information
    """A batch of one record, put together by aiokafka's builder in Python: that in C takes no names that are not UTF-8.
    It is not compressed."""

    def __init__(self, record: Record) -> None:
        super().__init__(0, 0)
        self._builder = _DefaultRecordBatchBuilderPy(
            magic=2,
            compression_type=0,
            is_transactional=0,
            producer_id=-1,
            producer_epoch=-1,
            base_sequence=0,
            batch_size=0,  # the first record is taken whatever its size
        )
        headers = [(_Name(name), value) for name, value in record.headers]
        self.append(timestamp=None, key=record.key, value=record.value, headers=headers)
        self.close()

    def _set_producer_state(self, producer_id: int, producer_epoch: int, base_sequence: int) -> None:
        self._builder.set_producer_state(producer_id, producer_epoch, base_sequence)


class _Name(str):
    """A header's name, of which surrogate escapes become the bytes that they were."""

    __slots__ = ()

    def encode(self, encoding: str = "utf-8", errors: str = "surrogateescape") -> bytes:
        return super().encode(encoding, "surrogateescape")
