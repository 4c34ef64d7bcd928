"""Tells whether a consumer stands still although there is something to read and nothing keeps it from reading. Decides
by positions and ends alone; knows no reason why it should stand still, only those for which it may."""

import asyncio

from aiokafka import TopicPartition

from libs.common.adapters.kafka.consuming import Consumption

_PATIENCE = 5.0
"""Seconds for the brokers to say how far their partitions go."""


class Progress:
    """What a consumption has got done from one look to the next."""

    def __init__(self, consumption: Consumption) -> None:
        self._consumption = consumption
        self._waiting: dict[TopicPartition, int] = {}

    async def stands_still(self) -> bool:
        """Whether the next record of some partition was there at the last look already, and is still waiting."""
        before, self._waiting = self._waiting, await self._look()
        return any(before.get(partition) == offset for partition, offset in self._waiting.items())

    async def _look(self) -> dict[TopicPartition, int]:
        """The offsets of records that wait to be polled. None do while a handler is busy or fails, where back-pressure
        has paused the partition, where it cannot be read (readiness says so), and while Kafka does not answer: nothing
        of that would be better in another process."""
        consumer = self._consumption.consumer
        if consumer is None or self._consumption.handling or self._consumption.failures:
            return {}
        kept = consumer.paused() | consumer.unreadable.keys()
        free = {partition: at for partition, at in self._consumption.positions().items() if partition not in kept}
        try:
            async with asyncio.timeout(_PATIENCE):
                ends = await consumer.end_offsets(list(free)) if free else {}
        except Exception:  # whatever it is: what is not known condemns nobody
            return {}
        return {partition: at for partition, at in free.items() if ends[partition] > at}
