"""What came from the log: a record as bytes, whatever its state. aiokafka's and FastStream's own parsers give up on
records that they cannot read; those here never do."""

import dataclasses
from collections.abc import Awaitable, Callable
from typing import Any

from aiokafka import TopicPartition
from aiokafka.consumer import fetcher

from libs.common.adapters.kafka.batches import FetchedBatches
from libs.common.ports import Received

fetcher.MemoryRecords = FetchedBatches
"""aiokafka lets nobody choose. Here, because whoever reads the log in a process of ours imports this module."""


def partition_of(record: Received) -> TopicPartition:
    """Its partition, as aiokafka names it."""
    return TopicPartition(record.topic, record.partition)


def received(record: Any) -> Received:
    """The native record as bytes."""
    return Received(
        record.topic,
        record.partition,
        record.offset,
        record.key,
        record.value,
        tuple(record.headers),
        record.timestamp,
    )


async def raw_decoder(message: Any) -> list[Received]:
    """Hands the handler the records as they came: one that cannot be read must not fail its whole batch."""
    raw = message.raw_message
    return [received(record) for record in (raw if isinstance(raw, tuple | list) else (raw,))]


async def tolerant_parser(record: Any, original: Callable[[Any], Awaitable[Any]]) -> Any:
    """Parses a record, or a batch, without its headers where those are unreadable (a None or non-UTF-8 value), and
    keeps the originals in `raw_message`: otherwise no handler would ever see it, and the next commit would pass over
    it."""
    try:
        return await original(record)
    except Exception:  # whatever is wrong with it, the handler must get it
        bare = tuple(map(_without_headers, record)) if isinstance(record, tuple | list) else _without_headers(record)
        message = await original(bare)
        message.raw_message = record
        return message


def _without_headers(record: Any) -> Any:
    return dataclasses.replace(record, headers=())
