"""Ties child processes to this one: each leads a group of its own, and none outlives us, not even after `kill -9`.

Twice, because each way has a hole: the guardian works on every system and reaches whole groups, but can be killed;
on Linux the kernel signals the child directly (PR_SET_PDEATHSIG), but only the child, not what it started.
"""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


class Leash:
    """Holds process groups; leaving the context, or dying, ends those that are still held."""

    def __init__(self) -> None:
        self._guardian: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self._guardian = subprocess.Popen(  # noqa: S603 - our own file; -I -S: it starts in 20 ms and imports nothing else
            [sys.executable, "-I", "-S", str(Path(__file__).with_name("guardian.py"))],
            stdin=subprocess.PIPE,
            bufsize=0,
            start_new_session=True,  # a signal for our own group must not reach it
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._guardian and self._guardian.stdin:
            self._guardian.stdin.close()
            self._guardian.wait()

    def hold(self, group: int) -> None:
        """The group ends when we do."""
        self._tell(f"hold {group}\n")

    def drop(self, group: int) -> None:
        """The group has ended; its number may be given to others."""
        self._tell(f"drop {group}\n")

    def remove_at_end(self, folder: Path) -> None:
        """This temporary folder goes when everything that was held has ended."""
        self._tell(f"remove {folder}\n")

    def _tell(self, line: str) -> None:
        # a guardian that somebody killed is no reason to stop: the kernel's half still holds
        if self._guardian and self._guardian.stdin:
            with contextlib.suppress(BrokenPipeError):
                self._guardian.stdin.write(line.encode())


def follow_parent() -> Callable[[], None] | None:
    """What the child runs between fork and exec to be told of our death; None where the system has no such thing.

    The kernel watches the thread that forked, so from any other than the main one it would fire too early.
    """
    libc = _LIBC
    if libc is None or threading.current_thread() is not threading.main_thread():
        return None
    parent = os.getpid()

    def in_child() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:  # it died in between
            os._exit(1)

    return in_child


def end_group(group: int, number: signal.Signals) -> None:
    """Signal a whole group; one that has ended already is fine."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)
