"""Runs a table of programs and steps: each starts when what it needs is ready, what dies is restarted, nothing is left.

It knows no names: what to run, and in which order, is the table's business.
"""

import asyncio
import contextlib
import json
import os
import signal
import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from deploy.local.backoff import Backoff
from deploy.local.errors import StackError
from deploy.local.leash import Leash, end_group, follow_parent
from deploy.local.logs import ProcessLog, Terminal
from deploy.local.piping import output_to
from deploy.local.program import Program, Step, environ_of

READY_SECONDS = 120.0
GRACE_SECONDS = 10.0
_POLL_SECONDS = 0.05
_REFUSES = 2  # how a process says that a setting is wrong: another start would say the same


class Supervisor:
    """One run of a table. `run()` returns after `stop()`; a second `stop()` does not wait for anybody."""

    def __init__(
        self,
        table: Sequence[Program | Step],
        folder: Path,
        terminal: Terminal,
        *,
        ready_seconds: float = READY_SECONDS,
        grace_seconds: float = GRACE_SECONDS,
    ) -> None:
        self._table = table
        self._folder = folder
        self._terminal = terminal
        self._ready_seconds = ready_seconds
        self._grace_seconds = grace_seconds
        self._ready = {entry.name: asyncio.Event() for entry in table}
        self._running: dict[str, asyncio.subprocess.Process] = {}
        self._restarts: dict[str, int] = {}
        self._stopping = asyncio.Event()
        self._leash = Leash()
        terminal.when_gone(self._stopping.set)  # not stop(): a second one, beside a Ctrl-C, would wait for nobody

    async def run(self, when_ready: Callable[[], None]) -> None:
        """Run everything until told to stop; calls `when_ready` once, when all is ready.

        Raises StackError when a step fails, a program refuses its settings or cannot be executed, or something is not
        ready in time; everything is stopped by then.
        """
        with self._leash:
            tasks = [asyncio.create_task(self._look_after(entry), name=entry.name) for entry in self._table]
            announce = asyncio.create_task(self._announce(when_ready))
            stopped = asyncio.create_task(self._stopping.wait())
            try:
                pending: set[asyncio.Task[Any]] = {*tasks, announce, stopped}
                while not stopped.done() and pending:
                    done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
                    for task in done:
                        task.result()
            finally:
                for task in (announce, stopped):
                    task.cancel()
                self._stopping.set()
                for event in self._ready.values():
                    event.set()  # those that still wait for it see that we are stopping
                await self._end_all()
                await asyncio.gather(*tasks, announce, stopped, return_exceptions=True)
                (self._folder / "processes.json").unlink(missing_ok=True)

    def stop(self) -> None:
        """Stop everything: services first, servers last. Again: at once."""
        if self._stopping.is_set():
            for process in self._running.values():
                end_group(process.pid, signal.SIGKILL)
        self._stopping.set()

    async def _look_after(self, entry: Program | Step) -> None:
        for name in entry.after:
            if name in self._ready:  # a server that somebody else runs is not in the table
                await self._ready[name].wait()
        if self._stopping.is_set():
            return
        log = ProcessLog(entry.name, self._folder / "logs", self._terminal)
        try:
            if isinstance(entry, Step):
                await self._run_once(entry, log)
            else:
                await self._keep_running(entry, log)
        finally:
            log.close()

    async def _run_once(self, step: Step, log: ProcessLog) -> None:
        code = await self._live(step, log)
        if self._stopping.is_set():
            return
        if code:
            raise StackError(f"`{step.name}` failed with {code}:\n{log.end_of_output()}")
        self._ready[step.name].set()

    async def _keep_running(self, program: Program, log: ProcessLog) -> None:
        backoff = Backoff()
        while not self._stopping.is_set():
            started = time.monotonic()
            watch = asyncio.create_task(self._watch_ready(program))
            try:
                code = await self._live(program, log)
            finally:
                watch.cancel()
            if self._stopping.is_set():
                return
            if code == _REFUSES and not self._ready[program.name].is_set():
                raise StackError(f"`{program.name}` cannot run as it is set:\n{log.end_of_output()}")
            self._restarts[program.name] = self._restarts.get(program.name, 0) + 1
            backoff = backoff.after_life_of(timedelta(seconds=time.monotonic() - started))
            wait = backoff.wait.total_seconds()
            log.say(f"{_how(code)}; starting it again in {wait:g} s (log: {log.path})")
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), wait)

    async def _live(self, entry: Program | Step, log: ProcessLog) -> int:
        """Run the process to its end, its output to the log; then end what it may have left of its group."""
        with output_to(log) as output:
            try:
                process = await asyncio.create_subprocess_exec(
                    *entry.argv,
                    env=environ_of(entry),
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    start_new_session=True,
                    preexec_fn=follow_parent(),
                )
            except OSError as error:
                raise StackError(f"`{entry.name}` cannot be started: {error}.") from None
            finally:
                os.close(output)
            self._running[entry.name] = process
            self._leash.hold(process.pid)
            self._write_state()
            if self._stopping.is_set():  # told so while it was being started
                end_group(process.pid, signal.SIGTERM)
            code = await process.wait()
            end_group(process.pid, signal.SIGKILL)
        self._leash.drop(process.pid)
        del self._running[entry.name]
        return code

    async def _watch_ready(self, program: Program) -> None:

        while program.ready and not await asyncio.to_thread(program.ready):  # noqa: ASYNC110
            await asyncio.sleep(_POLL_SECONDS)
        self._ready[program.name].set()

    async def _announce(self, when_ready: Callable[[], None]) -> None:
        try:
            async with asyncio.timeout(self._ready_seconds):
                for event in self._ready.values():
                    await event.wait()
        except TimeoutError:
            late = ", ".join(name for name, event in self._ready.items() if not event.is_set())
            raise StackError(
                f"not ready after {self._ready_seconds:g} s: {late}. See the logs in {self._folder / 'logs'}."
            ) from None
        when_ready()

    async def _end_all(self) -> None:
        servers = {entry.name for entry in self._table if isinstance(entry, Program) and entry.is_server}
        await self._end(self._running.keys() - servers)
        await self._end(self._running.keys() & servers)

    async def _end(self, names: set[str]) -> None:
        """SIGTERM to each process, which ends its own children; SIGKILL to the whole group after the grace."""
        processes = [self._running[name] for name in names]
        for process in processes:
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
        waiting = [asyncio.create_task(process.wait()) for process in processes]
        if waiting:
            await asyncio.wait(waiting, timeout=self._grace_seconds)
        for process in processes:
            if process.returncode is None:
                end_group(process.pid, signal.SIGKILL)
        await asyncio.gather(*waiting)

    def _write_state(self) -> None:
        """Who runs now, for people and tests: `processes.json`."""
        state = {
            name: {"pid": process.pid, "restarts": self._restarts.get(name, 0)}
            for name, process in self._running.items()
        }
        unfinished = self._folder / "processes.json.unfinished"
        unfinished.write_text(json.dumps(state))
        unfinished.rename(self._folder / "processes.json")


def _how(code: int) -> str:
    return f"ended by {signal.Signals(-code).name}" if code < 0 else f"ended with {code}"
