"""Makes one call of many that come at the same moment: a round trip costs both ends more than what it carries. Decides
who goes together; knows nothing of what is asked."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from libs.common.domain.errors import Unavailable

T = TypeVar("T")
R = TypeVar("R")

_WINDOW = 0.002
"""Seconds that the first waits for others: what the lines of one event differ by, and a hundredth of its budget."""


class Gathering(Generic[T, R]):
    """Calls of one kind. Each caller gets the answer to everything that was asked together, and picks out its own."""

    def __init__(self, call: Callable[[Sequence[T]], Awaitable[R]], enough: int) -> None:
        """`enough` items are worth a call of their own, at once."""
        self._call = call
        self._enough = enough
        self._items: list[T] = []
        self._soon: asyncio.Task[R] | None = None

    async def ask(self, items: Sequence[T]) -> R:
        """What the call answers, or raises: `Unavailable` to all who went together; with a defect, whoever has caused
        it is left alone with it."""
        if len(items) >= self._enough:
            return await self._call(items)
        self._items.extend(items)
        if self._soon is None:
            self._soon = asyncio.create_task(self._ask_soon(), name="gathering")
            # Every caller may have given up by the time it fails: then nobody else would look at the error.
            self._soon.add_done_callback(lambda soon: soon.cancelled() or soon.exception())
        try:
            # Shielded: one caller who gives up must not take the others' call along.
            return await asyncio.shield(self._soon)
        except Unavailable:
            raise
        except Exception:
            return await self._call(items)

    async def _ask_soon(self) -> R:
        try:
            await asyncio.sleep(_WINDOW)
        finally:
            items, self._items, self._soon = self._items, [], None
        return await self._call(items)
