"""How many calls a provider gets at once and a second, and who is next: critical before standard before bulk, and a
part is kept free for what is more urgent, so that a newsletter never delays a one-time code, however slow the provider
is."""

import asyncio
import heapq
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import count

from libs.common.domain.bucket import Bucket
from libs.common.domain.channels import Lane

_SHARE: dict[Lane, float] = {Lane.CRITICAL: 1.0, Lane.STANDARD: 0.875, Lane.BULK: 0.75}
"""The part of all slots that may be in use when one of this lane is given out."""
_URGENCY = {lane: number for number, lane in enumerate(_SHARE)}


class Slots:
    """The slots of one provider. With a `bucket`, each is given out with one of its tokens."""

    def __init__(
        self, limit: int, bucket: Bucket | None = None, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self.in_use = 0
        self.closed = False
        self._bucket = bucket
        self._monotonic = monotonic
        self._timer: asyncio.TimerHandle | None = None
        self._ceiling = {lane: max(1, int(limit * share)) for lane, share in _SHARE.items()}
        self._waiting: list[tuple[int, int, Lane, asyncio.Future[None]]] = []
        self._order = count()

    @property
    def waiting(self) -> int:
        """How many wait for a slot."""
        return sum(not turn.done() for _, _, _, turn in self._waiting)

    def close(self) -> None:
        """Keep nobody waiting any more: from now on all get their turn at once, to see for themselves that these slots
        are `closed`, and to call nobody."""
        self.closed = True
        self._wake()

    @asynccontextmanager
    async def taken(self, lane: Lane) -> AsyncIterator[None]:
        """Hold a slot while the block runs."""
        await self._take(lane)
        try:
            yield
        finally:
            self._free()

    async def _take(self, lane: Lane) -> None:
        if self.closed or (self.in_use < self._ceiling[lane] and not self._waiting and self._has_token()):
            self.in_use += 1
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._waiting, (_URGENCY[lane], next(self._order), lane, turn))
        self._wake()
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():  # it was given to us while we were being cancelled
                self._free()
            raise

    def _free(self) -> None:
        self.in_use -= 1
        self._wake()

    def _wake(self) -> None:
        while self._waiting:
            _, _, lane, turn = self._waiting[0]
            if not turn.done():
                if not self.closed:
                    if self.in_use >= self._ceiling[lane]:
                        return  # those behind are no more urgent, and their ceilings are no higher
                    if not self._has_token():
                        self._wake_later()
                        return
                self.in_use += 1
                turn.set_result(None)
            heapq.heappop(self._waiting)

    def _has_token(self) -> bool:
        return self._bucket is None or self._bucket.take(self._monotonic())

    def _wake_later(self) -> None:
        if self._bucket is None or self._timer is not None:
            return
        wait = self._bucket.wait(self._monotonic())
        self._timer = asyncio.get_running_loop().call_later(wait, self._on_time)

    def _on_time(self) -> None:
        self._timer = None
        self._wake()
