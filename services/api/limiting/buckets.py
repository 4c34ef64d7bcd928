"""Counts against limits per minute. The count is the database's, for all processes together; each process takes from it
in blocks and spends those from memory: at 1,000 requests/s and the default limits one round trip in some seconds.

The sum of what all processes spend never exceeds the limit: what a process has taken and not spent when the minute ends
is lost. When the database is away, requests pass: a limit protects the service, and must not be what stops it.
"""

import asyncio
from collections import OrderedDict
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import structlog

from libs.common.clock import Clock
from libs.common.domain.errors import Unavailable
from services.api.ports import RateStore

_log = structlog.get_logger(__name__)

WINDOW = timedelta(minutes=1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_BLOCKS = 20
"""A block is this part of a limit: a minute of full use costs so many round trips."""
_PATIENCE = 0.25
"""Seconds that the database may take to answer; then the request passes."""
_MOST = 50_000
"""Buckets in memory; what is forgotten is asked for again."""


@dataclass(frozen=True, slots=True)
class Answer:
    """Whether one more is allowed. `remaining` is how many others are left of `limit`, as far as this process knows."""

    allowed: bool
    limit: int
    remaining: int
    resets_in: int
    """Seconds until the minute ends, rounded up."""
    window: int
    """The minute that it was counted in."""


@dataclass(slots=True)
class _Local:
    """What this process has of one bucket in one minute."""

    window: int
    ours: int = 0
    left: int = 0
    """What nobody has taken yet."""
    exhausted: bool = False
    asking: asyncio.Task[None] | None = None


class Buckets:
    """All buckets of one process."""

    def __init__(self, store: RateStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._local: OrderedDict[str, _Local] = OrderedDict()

    async def spend(self, bucket: str, limit: int) -> Answer:
        """Count one against `bucket`, if `limit` of this minute is not reached."""
        local, resets_in = self._find(bucket, limit)
        while local.ours <= 0 and not local.exhausted:
            if local.asking is None:
                local.asking = asyncio.create_task(self._take(bucket, local, limit), name="rate-limit")
            # Shielded: a caller who gives up must not take the others' answer along.
            await asyncio.shield(local.asking)
        if local.ours <= 0:
            return Answer(False, limit, 0, resets_in, local.window)
        local.ours -= 1
        return Answer(True, limit, local.ours + local.left, resets_in, local.window)

    def give_back(self, bucket: str, spent: Answer) -> None:
        """What `spent` allowed did not count after all; in vain once its minute is over, for the next one never had
        it."""
        local = self._local.get(bucket)
        if local is not None and local.window == spent.window:
            local.ours += 1

    def _find(self, bucket: str, limit: int) -> tuple[_Local, int]:
        since = self._clock() - _EPOCH
        window = since // WINDOW
        local = self._local.get(bucket)
        if local is None or local.window != window:
            local = self._local[bucket] = _Local(window, left=limit)
            if len(self._local) > _MOST:
                self._local.popitem(last=False)
        self._local.move_to_end(bucket)
        return local, -(-(WINDOW - since % WINDOW) // timedelta(seconds=1))

    async def _take(self, bucket: str, local: _Local, limit: int) -> None:
        block = max(1, limit // _BLOCKS)
        ends = _EPOCH + (local.window + 1) * WINDOW
        try:
            async with asyncio.timeout(_PATIENCE):
                taken = await self._store.take(f"{bucket}|{local.window}", block, ends)
        except (Unavailable, TimeoutError) as error:
            _log.warning("rate_limit.open", reason=str(error) or "timeout")
            local.ours = block  # and is not asked again before they are spent
        else:
            granted = max(0, min(block, limit - (taken - block)))
            local.ours = granted
            local.left = max(0, limit - taken)
            local.exhausted = granted < block
        finally:
            local.asking = None
