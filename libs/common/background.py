"""Work beside what a process serves, and what becomes of a process whose work has broken: it looks alive and does
nothing, so it leaves, and whoever supervises it starts it anew."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import structlog

_log = structlog.get_logger(__name__)

_PATIENCE = 3.0
"""Seconds between two cancellations of a task: longer than the first may take to have its effect, since the router's
scheduler gives back what it has leased within 2."""
EXIT_CODE = 70
"""EX_SOFTWARE of sysexits.h."""


def end_process() -> None:
    """Leave at once, without cleaning up: what could be waited for does not answer any more."""
    sys.stdout.flush()
    os._exit(EXIT_CODE)


def begin(work: Coroutine[Any, Any, Any], name: str) -> asyncio.Task[Any]:
    """Run `work` from now on, in the background. It ends the process when it breaks, not when it is cancelled."""
    background = asyncio.create_task(work, name=name)
    background.add_done_callback(_end_if_broken)
    return background


@asynccontextmanager
async def beside(*works: Coroutine[Any, Any, Any], name: str) -> AsyncIterator[None]:
    """Runs all `works` as long as the block runs. One that breaks ends the process, not when the block has ended."""
    tasks = [begin(work, name) for work in works]
    try:
        yield
    finally:
        await end(*tasks)


async def run_beside(*works: Coroutine[Any, Any, Any], name: str) -> None:
    """Runs all `works` until it is cancelled. `asyncio.TaskGroup` cancels its tasks once, however often it is cancelled
    itself; with one that has lost that, see `end`, it never ends."""
    async with beside(*works, name=name):
        await asyncio.Event().wait()


async def end(*tasks: asyncio.Task[Any]) -> None:
    """Cancel the tasks until all have ended. Once is not always enough: in Python 3.11 `asyncio.wait_for`, which both
    drivers use, can lose a cancellation (https://github.com/python/cpython/issues/86296); a loop would then go on.
    Whoever is cancelled while they end hears of it when they have."""
    interrupted: asyncio.CancelledError | None = None
    while running := [task for task in tasks if not task.done()]:
        for task in running:
            task.cancel()
        try:
            await asyncio.wait(running, timeout=_PATIENCE)
        except asyncio.CancelledError as error:
            interrupted = error
    for task in tasks:
        if not task.cancelled():
            task.exception()  # looked at, so that nobody is warned of it at exit
    if interrupted is not None:
        raise interrupted


def _end_if_broken(background: asyncio.Task[Any]) -> None:
    if not background.cancelled() and (error := background.exception()) is not None:
        _log.critical("background.ending_process", task=background.get_name(), error=repr(error))
        end_process()
