"""Counts in memory, held to the same contract as MongoDB's (`tests/contract/test_rate_limits.py`)."""

import asyncio
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from libs.common.domain.errors import Unavailable


class MemoryRates:
    """Implements `ports.RateStore`; `away` makes it refuse, `hangs` makes it not answer, `calls` counts what it was
    asked."""

    def __init__(self) -> None:
        self.away = False
        self.hangs = False
        self.calls = 0
        self.used: Counter[str] = Counter()
        self.attempts: dict[str, tuple[int, datetime]] = {}

    async def take(self, bucket: str, amount: int, expires_at: datetime) -> int:
        """Take `amount` from a bucket; how much was taken from it in all, this included."""
        await self._answer()
        self.used[bucket] += amount
        return self.used[bucket]

    async def begin_attempt(
        self, attempt: str, now: datetime, expires_at: datetime, delay: Callable[[int], timedelta]
    ) -> datetime | None:
        """Count an attempt unless it is blocked."""
        await self._answer()
        failures, blocked_until = self.attempts.get(attempt, (0, datetime.min.replace(tzinfo=UTC)))
        if blocked_until > now:
            return blocked_until
        wait = delay(failures + 1)
        self.attempts[attempt] = (failures + 1, now + wait if wait else blocked_until)
        return None

    async def forget_attempt(self, attempt: str) -> None:
        """There was no failure."""
        await self._answer()
        self.attempts.pop(attempt, None)

    async def _answer(self) -> None:
        self.calls += 1
        if self.hangs:
            await asyncio.Event().wait()
        if self.away:
            raise Unavailable("MongoDB: away")
