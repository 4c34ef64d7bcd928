"""File locks between processes. The system drops them when the holder dies, however it dies."""

import contextlib
import fcntl
import functools
import os
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def hold(path: Path) -> Iterator[None]:
    """Hold the lock on `path`, waiting for whoever has it.

    These are record locks (`lockf`): they belong to the process, so a forked child does not keep one alive. The other
    side of that: they do not exclude two threads of one process.
    """
    descriptor = _open(path)
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def try_to_hold(path: Path) -> int | None:
    """Take the lock on `path` until the returned descriptor is closed; None when another process has it."""
    descriptor = _open(path)
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return None
    return descriptor


def try_to_hold_place(path: Path, place: int) -> bool:
    """Take one place in the file at `path` (its byte `place`) until this process ends; False when another process has
    it. A process that asks again for what it has gets it again."""
    descriptor = _kept_open(path)
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, place)
    except OSError:
        return False
    return True


@functools.cache
def _kept_open(path: Path) -> int:
    """One descriptor a file for good: closing any of them would drop every lock that this process has on it."""
    return _open(path)


def _open(path: Path) -> int:
    path.parent.mkdir(parents=True, exist_ok=True)
    return os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
