"""Who wants the same at the same time goes one after the other, in the order of coming. Knows those who are there and
nobody else: a key is forgotten with the last who holds it or waits for it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from libs.common.domain.errors import Unavailable


@dataclass(slots=True)
class _Queue:
    """One holds, the others wait."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    present: int = 0


class Turns:
    """The queues of one process. `most_waiting` is for all of them together: more are refused rather than piled up."""

    def __init__(self, most_waiting: int) -> None:
        self._most_waiting = most_waiting
        self._queues: dict[str, _Queue] = {}
        self._present = 0

    @property
    def waiting(self) -> int:
        """How many wait for somebody; who has a key alone does not."""
        return self._present - len(self._queues)

    @asynccontextmanager
    async def take(self, key: str) -> AsyncIterator[None]:
        """Alone with `key`. Raises `Unavailable` when it is taken and too many wait already, whatever for."""
        if key in self._queues and self.waiting >= self._most_waiting:
            raise Unavailable("too many wait for one another")
        queue = self._queues.setdefault(key, _Queue())
        queue.present += 1
        self._present += 1
        try:
            async with queue.lock:
                yield
        finally:
            # Also of who gave up waiting.
            queue.present -= 1
            self._present -= 1
            if not queue.present:
                del self._queues[key]
