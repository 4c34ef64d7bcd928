"""Waits for our own infrastructure: what Kafka or MongoDB cannot do now is tried again until they can, in place, so
that nothing is lost and no offset passes it. The process is not ready meanwhile."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog

from libs.common.domain.errors import Unavailable

_log = structlog.get_logger(__name__)

T = TypeVar("T")

_BACK_OFF = (0.2, 0.5, 1.0, 2.0, 5.0)
"""Seconds before the next try, half of it to half more; the last one repeats."""


class Patience:
    """Insists on calls; knows how many are failing. They try again apart from one another: some share a round trip, and
    one that can never succeed must not fail the same others each time."""

    def __init__(
        self,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
        draw: Callable[[], float] = random.random,
    ) -> None:
        """`draw` gives numbers from 0 to 1."""
        self._sleep = sleep
        self._draw = draw
        self._failing: dict[int, str] = {}
        self._calls = 0

    async def insist(self, step: str, call: Callable[[], Awaitable[T]]) -> T:
        """The result of `call`, however often it takes. Only `Unavailable` is waited out. Cancellation ends it."""
        number, tries = self._calls, 0
        self._calls += 1
        try:
            while True:
                try:
                    return await call()
                except Unavailable as error:
                    wait = _BACK_OFF[min(tries, len(_BACK_OFF) - 1)] * (0.5 + self._draw())
                    tries += 1
                    self._failing[number] = f"{step}: {error}"
                    _log.warning("dispatch.waiting", step=step, error=str(error), tries=tries, wait_s=round(wait, 2))
                    await self._sleep(wait)
        finally:
            self._failing.pop(number, None)

    async def ready(self) -> str:
        """Raises `Unavailable` while any call is failing."""
        if self._failing:
            raise Unavailable(next(iter(self._failing.values())))
        return "ok"
