"""The pipe through which a child's output comes to its log.

Not asyncio's own: with that one `Process.wait()` returns only when the pipe is closed everywhere, so a grandchild that
kept it open would hide its parent's death.
"""

import asyncio
import contextlib
import os
from collections.abc import Iterator

from deploy.local.logs import ProcessLog

_CHUNK = 2**16


@contextlib.contextmanager
def output_to(log: ProcessLog) -> Iterator[int]:
    """Yields the descriptor that the child writes to; close it once the child has it.

    At the end what is in the pipe is read, and nothing is waited for.
    """
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    loop = asyncio.get_running_loop()

    def read() -> bool:
        """Whether more may follow at once."""
        with contextlib.suppress(BlockingIOError):
            if chunk := os.read(reading, _CHUNK):
                log.feed(chunk)
                return True
            loop.remove_reader(reading)
        return False

    loop.add_reader(reading, read)
    try:
        yield writing
    finally:
        loop.remove_reader(reading)
        while read():
            pass
        os.close(reading)
