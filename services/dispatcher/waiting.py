"""Holds retry records until they are due: never early, and without sleeping in anybody's way. A retry topic has one
constant delay, so the head of a partition is always the earliest: only it is looked at, by one timer per partition.
"""

import asyncio
import random
from collections import Counter, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Generic, TypeVar

from aiokafka import TopicPartition

from libs.common.clock import Clock
from libs.common.domain.channels import Channel
from libs.common.observability.metrics import Metrics

T = TypeVar("T")

_LOOK_AGAIN = 30.0
"""Seconds: timers run on the monotonic clock, due times on the wall's, which may be put right meanwhile."""
_SPREAD = timedelta(milliseconds=50)
"""Longest delay added once due, so that what failed together does not come back in one instant."""


@dataclass(slots=True)
class _Waiting(Generic[T]):
    tier: str
    held: deque[tuple[datetime, T]] = field(default_factory=deque)
    timer: asyncio.TimerHandle | None = None


class Gate(Generic[T]):
    """What waits, by partition; each thing goes to `release` when it is due."""

    def __init__(
        self,
        channel: Channel,
        release: Callable[[T], None],
        clock: Clock,
        metrics: Metrics,
        dice: Callable[[], float] = random.random,
    ) -> None:
        self._channel = channel
        self._release = release
        self._clock = clock
        self._metrics = metrics
        self._dice = dice
        self._partitions: dict[TopicPartition, _Waiting[T]] = {}
        self._counts: Counter[str] = Counter()

    def hold(self, partition: TopicPartition, due: datetime, thing: T) -> None:
        """Keep `thing` until `due`, or until what came before it in its partition is released."""
        waiting = self._partitions.setdefault(partition, _Waiting(partition.topic.rpartition(".")[2]))
        waiting.held.append((due, thing))
        self._count(waiting.tier, 1)
        if waiting.timer is None:
            self._look(partition)

    def drop(self, partitions: Iterable[TopicPartition]) -> None:
        """Forget what waits there: somebody else will read it."""
        for partition in partitions:
            waiting = self._partitions.pop(partition, None)
            if waiting is not None:
                self._count(waiting.tier, -len(waiting.held))
                if waiting.timer is not None:
                    waiting.timer.cancel()

    def close(self) -> None:
        """Forget everything."""
        self.drop(list(self._partitions))

    def __len__(self) -> int:
        """How many things wait."""
        return self._counts.total()

    def _look(self, partition: TopicPartition) -> None:
        waiting = self._partitions[partition]
        waiting.timer = None
        now = self._clock()
        while waiting.held and waiting.held[0][0] <= now:
            due, thing = waiting.held.popleft()
            self._count(waiting.tier, -1)
            self._metrics.observe("retry_lateness_seconds", (now - due).total_seconds(), channel=self._channel)
            self._release(thing)
        if waiting.held:
            wait = (waiting.held[0][0] - now + _SPREAD * self._dice()).total_seconds()
            loop = asyncio.get_running_loop()
            waiting.timer = loop.call_later(min(wait, _LOOK_AGAIN), self._look, partition)

    def _count(self, tier: str, change: int) -> None:
        self._counts[tier] += change
        self._metrics.gauge("retries_waiting", self._counts[tier], channel=self._channel, tier=tier)
