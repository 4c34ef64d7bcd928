"""CACHE_BACKEND=lru: this process's memory. What another process changes is seen here once the time to live is over."""

import math
import time
from collections.abc import Callable, Sequence
from datetime import timedelta

from cachetools import TTLCache

from libs.common.caching import Lookup, Place

MAX_BYTES = 64 * 1024 * 1024
_OVERHEAD = 200
"""Bytes that an entry takes besides its value."""


class MemoryCache:
    """Implements `Cache`; the least recently used goes first."""

    def __init__(
        self, ttl: timedelta, monotonic: Callable[[], float] = time.monotonic, max_bytes: int = MAX_BYTES
    ) -> None:
        self._kept: TTLCache[Place, tuple[int, bytes]] = TTLCache(
            max_bytes, ttl.total_seconds(), timer=monotonic, getsizeof=lambda kept: len(kept[1]) + _OVERHEAD
        )
        """With the number of the last invalidation before it was kept."""
        self._invalidated: TTLCache[str, int] = TTLCache(math.inf, ttl.total_seconds(), timer=monotonic)
        """By namespace the number of its last invalidation, for as long as anything from before it could be there: each
        change of a person is one, and must not go through all that is kept."""
        self._invalidations = 0

    async def get_many(self, places: Sequence[Place]) -> Lookup:
        """What is there of these."""
        seen = {namespace: self._invalidated.get(namespace, 0) for namespace, _ in places}
        kept = {place: found for place in places if (found := self._kept.get(place)) is not None}
        return Lookup({place: value for place, (number, value) in kept.items() if number >= seen[place[0]]}, seen)

    async def set(self, place: Place, value: bytes, lookup: Lookup) -> None:
        """Keep a value, unless its namespace was invalidated since."""
        unchanged = lookup.seen.get(place[0]) == self._invalidated.get(place[0], 0)
        if unchanged and len(value) + _OVERHEAD <= self._kept.maxsize:
            self._kept[place] = (self._invalidations, value)

    async def invalidate(self, namespace: str) -> None:
        """Forget a namespace."""
        self._invalidations += 1
        self._invalidated[namespace] = self._invalidations
