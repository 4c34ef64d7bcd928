"""Polls for a consumer group one partition at a time, so that what cannot be read of one costs the others nothing.
Decides what becomes of that one: it is left alone for a while and then tried again."""

import asyncio
import time
from typing import Any, NamedTuple

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition

_log = structlog.get_logger(__name__)

_REST = 5.0
"""Seconds until a partition that could not be read is fetched anew: from the same broker, or a better one."""
_EMPTY_POLL_MS = 500
"""How long a poll waits for records at least. FastStream rests for as long as it is told to poll (10 ms) when nothing
came, and what comes meanwhile is late by that: so it rests twice a second instead of fifty times. The 24 consumers of
an idle platform cost a fifth of a core with 10 ms, and 8 % so."""
_NOWHERE = TopicPartition("", -1)


class _Trouble(NamedTuple):
    until: float
    error: str


class GroupConsumer(AIOKafkaConsumer):  # type: ignore[misc]  # aiokafka has no type information
    """aiokafka's consumer, but for its `getmany`. That one raises what is wrong with one partition and throws away what
    it has taken from others by then: their positions are past it, and their next commit makes that a loss."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._troubles: dict[TopicPartition, _Trouble] = {}

    @property
    def unreadable(self) -> dict[TopicPartition, str]:
        """The partitions of ours that cannot be read for now, and why."""
        assigned = self.assignment()
        return {partition: trouble.error for partition, trouble in self._troubles.items() if partition in assigned}

    async def getmany(
        self, *partitions: TopicPartition, timeout_ms: int = 0, max_records: int | None = None
    ) -> dict[TopicPartition, list[Any]]:
        """What has come, as `AIOKafkaConsumer.getmany` gives it; raises only what concerns the whole consumer."""
        found = await self._take(partitions, max_records)
        if found or not timeout_ms:
            return found
        timeout_ms = max(timeout_ms, _EMPTY_POLL_MS)
        news = self._fetcher._create_fetch_waiter()  # no public call waits for records without taking them
        await asyncio.wait([news], timeout=timeout_ms / 1000)
        if not news.done():
            news.cancel()
            return {}
        news.result()
        return await self._take(partitions, max_records)

    async def _take(self, wanted: tuple[TopicPartition, ...], room: int | None) -> dict[TopicPartition, list[Any]]:
        # Takes nothing, but waits for a rebalance and raises what the group's coordination has found.
        await super().getmany(_NOWHERE)
        found: dict[TopicPartition, list[Any]] = {}
        for partition in [each for each in self._fetcher._records if not wanted or each in wanted]:
            if self._rests(partition):
                continue
            taken = await self._take_from(partition, room)
            if taken:
                found[partition] = taken
                room = None if room is None else room - len(taken)
                if room == 0:
                    break
        return found

    async def _take_from(self, partition: TopicPartition, room: int | None) -> list[Any]:
        # In one go all that comes before the trouble would be thrown away with it, each time.
        portion = 1 if partition in self._troubles else room
        taken: list[Any] = []
        try:
            while records := (await self._fetcher.fetched_records((partition,), 0, portion)).get(partition):
                taken += records
                if portion == room or len(taken) == room:
                    break
        except Exception as error:
            self._leave_alone(partition, error)
        else:
            if taken:
                self._troubles.pop(partition, None)
        return taken

    def _rests(self, partition: TopicPartition) -> bool:
        trouble = self._troubles.get(partition)
        return trouble is not None and time.monotonic() < trouble.until

    def _leave_alone(self, partition: TopicPartition, error: Exception) -> None:
        trouble = _Trouble(time.monotonic() + _REST, f"{type(error).__name__}: {error}")
        self._troubles[partition] = trouble
        _log.error("partition.unreadable", topic=partition.topic, partition=partition.partition, error=trouble.error)
