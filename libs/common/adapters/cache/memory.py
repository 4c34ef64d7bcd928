"""CACHE_BACKEND=lru: this process's memory. What another process changes is seen here once the time to live is over."""

import time
from collections.abc import Callable, Sequence
from datetime import timedelta

from cachetools import TTLCache

from libs.common.caching import Lookup, Place

MAX_BYTES = 64 * 1024 * 1024


class MemoryCache:
    """Implements `Cache`; the least recently used goes first."""

    def __init__(
        self, ttl: timedelta, monotonic: Callable[[], float] = time.monotonic, max_bytes: int = MAX_BYTES
    ) -> None:
        self._kept: TTLCache[Place, bytes] = TTLCache(
            max_bytes, ttl.total_seconds(), timer=monotonic, getsizeof=lambda value: len(value) + 200
        )
        self._invalidations = 0

    async def get_many(self, places: Sequence[Place]) -> Lookup:
        """What is there of these."""
        values = {place: value for place in places if (value := self._kept.get(place)) is not None}
        return Lookup(values, {namespace: self._invalidations for namespace, _ in places})

    async def set(self, place: Place, value: bytes, lookup: Lookup) -> None:
        """Keep a value, unless anything was invalidated since: cheaper to know than what, and rare."""
        if lookup.seen.get(place[0]) == self._invalidations and len(value) + 200 <= self._kept.maxsize:
            self._kept[place] = value

    async def invalidate(self, namespace: str) -> None:
        """Forget a namespace."""
        self._invalidations += 1
        for place in [place for place in self._kept if place[0] == namespace]:
            self._kept.pop(place, None)
