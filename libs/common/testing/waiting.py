"""Waits for a condition instead of a time: how tests await what other tasks and processes do."""

import asyncio
import inspect
from collections.abc import Awaitable, Callable

_EVERY = 0.01


async def eventually(condition: Callable[[], bool | Awaitable[bool]], seconds: float = 60.0) -> None:
    """Returns as soon as `condition` holds; raises TimeoutError after `seconds`."""
    async with asyncio.timeout(seconds):
        while True:
            holds = condition()
            if await holds if inspect.isawaitable(holds) else holds:
                return
            await asyncio.sleep(_EVERY)
