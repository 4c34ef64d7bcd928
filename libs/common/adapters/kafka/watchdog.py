"""Ends a process whose consumers can never make progress again, so that whoever supervises it starts it anew: a live
process that delivers nothing is the one fault that nobody sees."""

import asyncio
from collections.abc import Callable, Sequence

import structlog

from libs.common.adapters.kafka.consuming import Consumption
from libs.common.adapters.kafka.progress import Progress
from libs.common.background import end, end_process

_log = structlog.get_logger(__name__)

_EVERY = 2.0
_STRIKES = 3
"""Looks in a row that must agree: a rebalance replaces the coordination task and may show none for a moment."""
_PROGRESS_EVERY = 10.0
_STANDSTILLS = 12
"""Two minutes: no fetch takes as long, and a restart that was not needed costs less than a day of silence."""


async def watch(consumptions: Sequence[Consumption], give_up: Callable[[], None] = end_process) -> None:
    """Looks at every consumption; calls `give_up` once one is dead, or stands still."""
    looks = [asyncio.create_task(look(each)) for each in consumptions for look in (_until_dead, _until_still)]
    try:
        done, _ = await asyncio.wait(looks, return_when=asyncio.FIRST_COMPLETED)
        for look in done:
            look.result()
        give_up()
    finally:
        await end(*looks)


async def _until_dead(consumption: Consumption) -> None:
    strikes = 0
    while strikes < _STRIKES:
        await asyncio.sleep(_EVERY)
        strikes = strikes + 1 if consumption.dead() else 0
    _log.critical("watchdog.dead", group=consumption.group_id, topics=consumption.topics)


async def _until_still(consumption: Consumption) -> None:
    progress, standstills = Progress(consumption), 0
    while standstills < _STANDSTILLS:
        await asyncio.sleep(_PROGRESS_EVERY)
        standstills = standstills + 1 if await progress.stands_still() else 0
    _log.critical("watchdog.stands_still", group=consumption.group_id, lag=sum(consumption.lag().values()))
