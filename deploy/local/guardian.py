"""Ends process groups when the process that started them is gone, however it went. Standard library only, run by path.

It reads `hold <group>`, `drop <group>` and `remove <folder>` lines from its standard input. The other end of that pipe
belongs to the parent alone; when the parent dies, by `kill -9` too, the system closes it, and what is still held gets
SIGTERM, then SIGKILL; then the temporary folders go.
"""

import contextlib
import os
import shutil
import signal
import sys
import time

GRACE_SECONDS = 5.0


def main() -> None:
    """Follow the parent's lines until they end."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    held: set[int] = set()
    folders: list[str] = []
    for line in sys.stdin:
        verb, _, operand = line.rstrip("\n").partition(" ")
        if verb == "hold":
            held.add(int(operand))
        elif verb == "drop":
            held.discard(int(operand))
        else:
            folders.append(operand)
    end_groups(held)
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)


def end_groups(groups: set[int]) -> None:
    """SIGTERM to every group, and SIGKILL to those that are there after the grace period."""
    deadline = time.monotonic() + GRACE_SECONDS
    left = {group for group in groups if _signal_group(group, signal.SIGTERM)}
    while left and time.monotonic() < deadline:
        time.sleep(0.05)
        left = {group for group in left if _signal_group(group, 0)}
    for group in left:
        _signal_group(group, signal.SIGKILL)


def _signal_group(group: int, number: int) -> bool:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)
        return True
    return False


if __name__ == "__main__":
    main()
