"""Where a process's lines go: whole to its own bounded file, and to the terminal as far as a person can follow."""

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TextIO

FILE_BYTES = 10 * 2**20  # per file, and one older one beside it: 20 MB a process at most
LINES_PER_SECOND = 40  # more than that on the terminal nobody reads; a client of a stopped Kafka writes 1,000
_COLOURS = (36, 33, 35, 32, 34, 31)


class Terminal:
    """The merged view: each line under the name of who wrote it."""

    def __init__(self, output: TextIO = sys.stdout) -> None:
        self._output = output
        self._colours: dict[str, int] = {}
        self._is_gone = False
        self._tell: Callable[[], None] | None = None

    def when_gone(self, tell: Callable[[], None]) -> None:
        """Have this called once nobody reads any more, as after `make run | head`; at once when it is so already."""
        self._tell = tell
        if self._is_gone:
            tell()

    def write(self, name: str, line: str) -> None:
        """One line of one process."""
        if not self._output.isatty():
            self.say(f"{name:>10} | {line}\n")
        else:
            colour = self._colours.setdefault(name, _COLOURS[len(self._colours) % len(_COLOURS)])
            self.say(f"\x1b[{colour}m{name:>10} |\x1b[0m {line}\n")

    def say(self, text: str) -> None:
        """Words of our own, as they are. Nothing is said, and no error made of it, where nobody reads any more."""
        if self._is_gone:
            return
        try:
            self._output.write(text)
            self._output.flush()
        except BrokenPipeError:
            self._is_gone = True
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._output.fileno())  # or the rest is written, and complained of, when Python ends
            os.close(nowhere)
            if self._tell:
                self._tell()


class ProcessLog:
    """The log of one process: a file that starts empty and turns over when it is full."""

    def __init__(
        self,
        name: str,
        folder: Path,
        terminal: Terminal,
        *,
        file_bytes: int = FILE_BYTES,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / f"{name}.log"
        self._name = name
        self._terminal = terminal
        self._file_bytes = file_bytes
        self._clock = clock
        self._file = self.path.open("wb", buffering=0)
        self._written = 0
        self._rest = b""
        self._second = 0
        self._shown = 0

    def feed(self, chunk: bytes) -> None:
        """Output as it came, cut anywhere."""
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        if len(self._rest) > 2**16:  # a line without an end must not fill the memory
            lines, self._rest = [*lines, self._rest], b""
        for line in lines:
            self._keep(line + b"\n")
            self._show(line.decode(errors="replace"))

    def say(self, line: str) -> None:
        """A line of the supervisor about this process; always shown."""
        self._keep(f"-- {line}\n".encode())
        self._terminal.write(self._name, line)

    def end_of_output(self) -> str:
        """The last lines, for a person who must find out why it died."""
        return "\n".join(self.path.read_text(errors="replace").splitlines()[-15:])

    def close(self) -> None:
        """Write what has no line end yet."""
        self.feed(b"\n" if self._rest else b"")
        self._file.close()

    def _keep(self, line: bytes) -> None:
        if self._written + len(line) > self._file_bytes and self._written:
            self._file.close()
            self.path.replace(self.path.with_suffix(".log.1"))
            self._file = self.path.open("wb", buffering=0)
            self._written = 0
        self._file.write(line)
        self._written += len(line)

    def _show(self, line: str) -> None:
        second = int(self._clock())
        if second != self._second:
            hidden = self._shown - LINES_PER_SECOND
            if hidden > 0:
                self._terminal.write(self._name, f"... {hidden} more lines in {self.path}")
            self._second, self._shown = second, 0
        self._shown += 1
        if self._shown <= LINES_PER_SECOND:
            self._terminal.write(self._name, line)
