"""Hashes and verifies passwords (argon2id, OWASP's least: 19 MiB, 2 passes, 1 lane; 31 ms on a 2-core machine), off the
event loop and two at a time. Whoever has no account is verified against nobody's hash: it takes as long."""

import asyncio
from collections.abc import Callable
from typing import TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from libs.common.domain.errors import Unavailable

T = TypeVar("T")

MIN_CHARACTERS = 8
MAX_BYTES = 1024

_AT_ONCE = 2
"""Each takes a core and 19 MiB."""
WAITING = 64
"""About a second's work; more is refused rather than piled up."""


class Passwords:
    """argon2id with bounded concurrency."""

    def __init__(self, hasher: PasswordHasher | None = None) -> None:
        self._hasher = hasher or PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
        self._nobody = self._hasher.hash("nobody has this password")
        self._slots = asyncio.Semaphore(_AT_ONCE)
        self._waiting = 0

    async def hash(self, password: str) -> str:
        """The hash to store. Raises `Unavailable` when too many wait."""
        return await self._run(lambda: self._hasher.hash(password))

    async def verify(self, stored: str | None, password: str) -> bool:
        """Whether `password` is the one whose hash was stored; `stored` None: there is no such account."""
        return await self._run(lambda: self._verify(stored, password))

    def is_outdated(self, stored: str) -> bool:
        """Whether the hash was made with other parameters than today's."""
        return self._hasher.check_needs_rehash(stored)

    def _verify(self, stored: str | None, password: str) -> bool:
        fits = len(password.encode("utf-8", "replace")) <= MAX_BYTES
        try:
            right = self._hasher.verify(stored or self._nobody, password if fits else "")
        except (VerificationError, InvalidHashError, UnicodeEncodeError):
            return False
        return right and fits and stored is not None

    async def _run(self, work: Callable[[], T]) -> T:
        if self._waiting >= WAITING:
            raise Unavailable("too many passwords wait to be verified")
        self._waiting += 1
        try:
            async with self._slots:
                return await asyncio.to_thread(work)
        finally:
            self._waiting -= 1
