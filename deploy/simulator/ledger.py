"""The attempts on disk, one JSON line each, fsynced before the reply. Refuses to know what they mean."""

import asyncio
import os
from pathlib import Path

import msgspec

from deploy.simulator.records import Attempt


class Ledger:
    """Group commit: lines that come in while the disk is busy share the next fsync, which costs up to some ms."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("ab", buffering=0)
        self._waiting: list[tuple[bytes, asyncio.Future[None]]] = []
        self._writer: asyncio.Task[None] | None = None

    async def write(self, attempt: Attempt) -> None:
        """Return once the attempt is on disk; raise OSError when the disk refuses."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((msgspec.json.encode(attempt) + b"\n", done))
        if self._writer is None or self._writer.done():
            self._writer = asyncio.create_task(self._drain())
        await asyncio.shield(done)

    async def close(self) -> None:
        """Write what is left, and close."""
        if self._writer is not None:
            await self._writer
        self._file.close()

    async def _drain(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting, []
            error: OSError | None = None
            try:
                await asyncio.to_thread(self._commit, b"".join(line for line, _ in batch))
            except OSError as failed:
                error = failed
            for _, done in batch:
                if error is None:
                    done.set_result(None)
                else:
                    done.set_exception(error)

    def _commit(self, lines: bytes) -> None:
        view = memoryview(lines)
        while view:
            view = view[self._file.write(view) :]
        os.fsync(self._file.fileno())
