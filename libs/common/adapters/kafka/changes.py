"""Follows a topic from given offsets, without a group: every process reads all of it. Decides when following is over
because records may be missing; knows nothing of what they mean."""

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Mapping

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError, NoOffsetForPartitionError, OffsetOutOfRangeError

from libs.common.adapters.kafka.received import partition_of, received
from libs.common.adapters.kafka.security import client_arguments
from libs.common.domain.errors import Unavailable
from libs.common.ports import Received, Stale
from libs.common.settings import KafkaSettings

_log = structlog.get_logger(__name__)

_POLL_MS = 500
"""How long a poll waits for a first record; it returns at once when there is one."""
_METADATA_MAX_AGE_MS = 10_000
_REQUEST_TIMEOUT_MS = 5_000
_CHECK_EVERY = 5.0
"""Seconds between questions for the topic's end: a consumer that died in silence, or sees one partition no more, is
behind it."""
_CHECK_PATIENCE = 2.0
"""Seconds for the answer. Nothing is read meanwhile, and a change of mind is to be heard within two."""
_CHECKS = 3
"""In a row that must find a record waiting at the same place: a fetch may be slow."""


class KafkaChanges:
    """Implements `Changes` of the router."""

    def __init__(self, settings: KafkaSettings, topic: str) -> None:
        self._settings = settings
        self._topic = topic

    async def ends(self) -> dict[int, int]:
        """For each partition the offset that its next record will have. Raises `Unavailable`."""
        consumer = self._consumer()
        try:
            await consumer.start()
            partitions = consumer.partitions_for_topic(self._topic) or await self._find_partitions(consumer)
            if not partitions:
                raise Unavailable(f"Kafka: topic {self._topic} does not exist")
            ends = await consumer.end_offsets([TopicPartition(self._topic, number) for number in partitions])
        except (KafkaError, OSError) as error:
            raise Unavailable(f"Kafka: {type(error).__name__}") from error
        finally:
            await consumer.stop()
        return {partition.partition: offset for partition, offset in ends.items()}

    async def since(self, positions: Mapping[int, int]) -> AsyncIterator[list[Received]]:
        """Every record from these offsets on, without end; an empty list at first and then every few seconds, if the
        brokers confirm that all has been read that was there the time before.

        It outlasts an absent Kafka. Raises `Stale`.
        """
        consumer = self._consumer()
        try:
            await _start(consumer)
            reading = _Reading(consumer, self._topic, positions)
            while True:
                if records := await reading.poll():
                    yield records
                if await reading.confirm():
                    yield []
        finally:
            await consumer.stop()

    async def _find_partitions(self, consumer: AIOKafkaConsumer) -> set[int]:
        # Without a subscription nothing has named our topic to the client yet, and no public call does: `topics()`
        # asks for all metadata and throws the partitions away.
        await consumer._client.add_topic(self._topic)
        return set(consumer.partitions_for_topic(self._topic) or ())

    def _consumer(self) -> AIOKafkaConsumer:
        return AIOKafkaConsumer(
            **client_arguments(self._settings),
            group_id=None,
            enable_auto_commit=False,
            auto_offset_reset="none",  # a lost position must be an error, not a silent jump
            metadata_max_age_ms=_METADATA_MAX_AGE_MS,
            request_timeout_ms=_REQUEST_TIMEOUT_MS,
        )


class _Reading:
    """One consumer on its way through all partitions."""

    def __init__(self, consumer: AIOKafkaConsumer, topic: str, positions: Mapping[int, int]) -> None:
        self._consumer = consumer
        self._topic = topic
        self._positions = {TopicPartition(topic, number): offset for number, offset in positions.items()}
        self._next_check = time.monotonic()
        self._ends = dict(self._positions)
        self._waiting: deque[dict[TopicPartition, int]] = deque(maxlen=_CHECKS)
        """At the last checks, the positions after which there was more."""
        consumer.assign(list(self._positions))
        for partition, offset in self._positions.items():
            consumer.seek(partition, offset)

    async def poll(self) -> list[Received]:
        """What has come, in order of each partition."""
        try:
            polled = await self._consumer.getmany(timeout_ms=_POLL_MS)
            records = [received(record) for batch in polled.values() for record in batch]
            for record in records:
                self._positions[partition_of(record)] = record.offset + 1
        except (OffsetOutOfRangeError, NoOffsetForPartitionError) as error:
            raise Stale(f"{self._topic}: {type(error).__name__}") from error
        except KafkaError as error:
            _log.warning("changes.waiting", topic=self._topic, error=type(error).__name__)
            await asyncio.sleep(1)
            return []
        known = self._consumer.partitions_for_topic(self._topic)
        if known is not None and not known <= {partition.partition for partition in self._positions}:
            raise Stale(f"{self._topic}: partitions were added")
        return records

    async def confirm(self) -> bool:
        """When it is time again: whether the brokers say that all has been read that was there the time before."""
        if time.monotonic() < self._next_check:
            return False
        self._next_check = time.monotonic() + _CHECK_EVERY
        try:
            async with asyncio.timeout(_CHECK_PATIENCE):
                ends = await self._consumer.end_offsets([*self._positions])
        except (KafkaError, OSError, TimeoutError) as error:
            _log.warning("changes.unconfirmed", topic=self._topic, error=type(error).__name__)
            return False
        waiting = {partition: at for partition, at in self._positions.items() if ends[partition] != at}
        self._waiting.append(waiting)
        stuck = [each for each, at in waiting.items() if all(then.get(each) == at for then in self._waiting)]
        if stuck and len(self._waiting) == _CHECKS:
            raise Stale(f"{self._topic}: no record came, though there are some")
        reached = all(self._positions[partition] >= end for partition, end in self._ends.items())
        self._ends = ends
        return reached


async def _start(consumer: AIOKafkaConsumer) -> None:
    while True:
        try:
            await consumer.start()
        except (KafkaError, OSError) as error:
            _log.warning("changes.waiting", error=type(error).__name__)
            await asyncio.sleep(1)
        else:
            return
