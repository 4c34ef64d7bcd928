"""Looks one record up on the log, by its coordinates. Opens a connection for it: for operators, who seldom ask."""

import asyncio

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError, OffsetOutOfRangeError

from libs.common.adapters.kafka.received import received
from libs.common.adapters.kafka.security import client_arguments
from libs.common.domain.errors import Unavailable
from libs.common.ports import Received
from libs.common.settings import KafkaSettings

_PATIENCE = 8.0
"""Seconds, connecting and closing included; a request has 12."""


class KafkaRecords:
    """Single records of the log."""

    def __init__(self, settings: KafkaSettings) -> None:
        self._settings = settings

    async def find(self, topic: str, partition: int, offset: int) -> Received | None:
        """The record there; None when it is not on the log (any more). Raises `Unavailable`."""
        place = TopicPartition(topic, partition)
        consumer = AIOKafkaConsumer(
            **client_arguments(self._settings), enable_auto_commit=False, auto_offset_reset="none"
        )
        try:
            async with asyncio.timeout(_PATIENCE):
                await consumer.start()
                consumer.assign([place])
                if offset >= (await consumer.end_offsets([place]))[place]:
                    return None
                consumer.seek(place, offset)
                record = await consumer.getone(place)
        except OffsetOutOfRangeError:
            return None
        except (KafkaError, OSError, TimeoutError) as error:
            raise Unavailable(f"Kafka: {type(error).__name__}") from error
        finally:
            await consumer.stop()
        return received(record) if record.offset == offset else None
