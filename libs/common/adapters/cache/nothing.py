"""CACHE_BACKEND=none: every look-up goes to the database."""

from collections.abc import Sequence

from libs.common.caching import Lookup, Place


class NoCache:
    """Implements `Cache` by keeping nothing."""

    async def get_many(self, places: Sequence[Place]) -> Lookup:
        """Nothing."""
        return Lookup()

    async def set(self, place: Place, value: bytes, lookup: Lookup) -> None:
        """Is not kept."""

    async def invalidate(self, namespace: str) -> None:
        """Nothing is kept anyway."""
