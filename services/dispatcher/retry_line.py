"""The line of a channel's retry topics: a record waits before the gate until it is due, then goes the way of all."""

from collections.abc import Callable, Collection
from datetime import datetime

from aiokafka import TopicPartition

from libs.common.clock import Clock
from libs.common.domain.channels import Channel
from libs.common.domain.deliveries import Work
from libs.common.observability.metrics import Metrics
from libs.common.ports import Received
from services.dispatcher.entries import Entry
from services.dispatcher.line import Connect, Graveyard, Line, LineLimits, Story
from services.dispatcher.waiting import Gate

ReadRetry = Callable[[Received], tuple[Work, datetime]]
"""The delivery of a record, and when it is due; raises `Poison`."""


class RetryLine(Line):
    """One consumer of all retry tiers of a channel."""

    def __init__(
        self,
        channel: Channel,
        connect: Connect,
        read: ReadRetry,
        story: Story,
        graveyard: Graveyard,
        clock: Clock,
        metrics: Metrics,
        limits: LineLimits | None = None,
    ) -> None:
        super().__init__(connect, lambda record: (read(record)[0],), story, graveyard, limits)
        self._read_retry = read
        self.gate: Gate[Entry] = Gate(channel, self._enqueue, clock, metrics)

    def _admit(self, entry: Entry) -> None:
        # Read again when it is due: an event of 240 kB takes 1.7 MB once it is read, and a thousand may wait.
        _, due = self._read_retry(entry.record)
        self.gate.hold(entry.ticket.partition, due, entry)

    def _drop(self, partitions: Collection[TopicPartition]) -> None:
        super()._drop(partitions)
        self.gate.drop(partitions)

    async def close(self) -> None:
        """As any line, and nothing is released any more."""
        self.gate.close()
        await super().close()
