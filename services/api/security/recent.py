"""Remembers answers for a few seconds, so that not every request asks the database about the same credential. What was
not found is not remembered: a new credential works at once."""

from collections import OrderedDict
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")

_MOST = 10_000


class Recent(Generic[K, V]):
    """Answers by key, each for `ttl`; `monotonic` gives seconds."""

    def __init__(self, ttl: timedelta, monotonic: Callable[[], float]) -> None:
        self._ttl = ttl.total_seconds()
        self._monotonic = monotonic
        self._known: OrderedDict[K, tuple[float, V]] = OrderedDict()

    async def get(self, key: K, ask: Callable[[], Awaitable[V | None]]) -> V | None:
        """The answer for `key`, asked for when there is no recent one."""
        now = self._monotonic()
        known = self._known.get(key)
        if known is not None and known[0] > now:
            return known[1]
        answer = await ask()
        if answer is None:
            self._known.pop(key, None)
            return None
        # From before the question: an answer may be old already when it arrives.
        self._known[key] = (now + self._ttl, answer)
        self._known.move_to_end(key)
        if len(self._known) > _MOST:
            self._known.popitem(last=False)
        return answer

    def forget(self, key: K) -> None:
        """Ask again next time."""
        self._known.pop(key, None)
