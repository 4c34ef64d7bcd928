"""The port of the look-up cache, and what may stand behind it: nothing, this process's memory, or memcached.

Only what may be up to CACHE_TTL_SECONDS old is ever cached: templates, and of a user that there is one, and in which
language. Consent is not: whether a subscriber is active, addresses and suppressions are read from the database for each
attempt.

A cache that is away makes look-ups slower and never wrong: none of its calls raises, and a miss is always an answer.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

Place = tuple[str, str]
"""Namespace and key. A namespace is what is invalidated at once: one template, one person."""


@dataclass(frozen=True, slots=True)
class Lookup:
    """What a cache had, and the state that it was in: what is read from the database after a miss may only be kept if
    nobody invalidated it in between."""

    values: Mapping[Place, bytes] = field(default_factory=dict)
    seen: Mapping[str, int] = field(default_factory=dict)
    """By namespace; a namespace that is left out is not to be filled."""


class Cache(Protocol):
    """Keeps look-ups for a while."""

    async def get_many(self, places: Sequence[Place]) -> Lookup:
        """What is there of these."""
        ...

    async def set(self, place: Place, value: bytes, lookup: Lookup) -> None:
        """Keep what was read from the database after `lookup` missed it."""
        ...

    async def invalidate(self, namespace: str) -> None:
        """Forget everything in a namespace: at once for this process, within the time to live for every other."""
        ...
