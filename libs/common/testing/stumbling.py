"""Makes each outside call of a story fail once, one by one: how a test shows that a crash at any step loses nothing."""

import inspect
from collections.abc import Awaitable, Callable
from typing import Any

from libs.common.domain.errors import Unavailable


class Stumbles:
    """Counts calls through the ports that it wraps. Call number `at` (from 1) fails: before its effect, or after it,
    as when only the answer was lost. `at` 0: none does."""

    def __init__(self, at: int = 0, *, after: bool = False) -> None:
        self.calls: list[str] = []
        self._at = at
        self._after = after

    def wrap(self, port: Any) -> Any:
        """The port, with every asynchronous method watched."""
        return _Watched(port, self)

    async def call(self, name: str, method: Callable[[], Awaitable[Any]]) -> Any:
        """Make one call, or stumble."""
        self.calls.append(name)
        stumble = len(self.calls) == self._at
        if stumble and not self._after:
            raise Unavailable(f"stumbled before {name}")
        result = await method()
        if stumble:
            raise Unavailable(f"stumbled after {name}")
        return result


class _Watched:
    def __init__(self, port: Any, stumbles: Stumbles) -> None:
        self._port = port
        self._stumbles = stumbles

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._port, name)
        if not inspect.iscoroutinefunction(method):
            return method

        async def watched(*arguments: Any, **named: Any) -> Any:
            return await self._stumbles.call(name, lambda: method(*arguments, **named))

        return watched
