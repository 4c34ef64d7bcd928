"""One server under a test's hand: start it, wait until it is ready, kill it, stop it. It never restarts by itself."""

import contextlib
import signal
import subprocess
import time
from pathlib import Path
from typing import Protocol

from deploy.local.errors import StackError
from deploy.local.leash import Leash, end_group, follow_parent
from deploy.local.program import Program, environ_of

READY_SECONDS = 60.0  # starts take 1-2 s, and 5 s on a busy machine


class OwnServer(Protocol):
    """A server to be killed and started as one likes; the same port and data serve every life."""

    @property
    def pid(self) -> int | None:
        """The process's id, None when it does not run."""
        ...

    def start(self) -> None:
        """Start it without waiting for it to be ready."""
        ...

    def await_ready(self) -> None:
        """Return when it does its work. Raises StackError when it does not."""
        ...

    def kill(self) -> None:
        """End it with SIGKILL, as a crash would."""
        ...

    def stop(self, grace_seconds: float = 15.0) -> None:
        """End it with SIGTERM, and with SIGKILL when it has not ended after the grace period."""
        ...


class Server:
    """A started program; an `OwnServer`. The same command, port and data serve every start."""

    def __init__(self, program: Program, leash: Leash, log: Path) -> None:
        self.program = program
        self._leash = leash
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """The process's id, None when it does not run."""
        return self._process.pid if self._process else None

    def start(self) -> None:
        """Start the process without waiting for it to be ready."""
        if self._process:
            return
        self._log.parent.mkdir(parents=True, exist_ok=True)
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603 - a command from our own table
                self.program.argv,
                env=environ_of(self.program),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=follow_parent(),  # safe: it calls one C function
            )
        self._leash.hold(self._process.pid)

    def await_ready(self) -> None:
        """Return when the server does its work. Raises StackError with the end of its log when it does not."""
        deadline = time.monotonic() + READY_SECONDS
        while self._process and self._process.poll() is None and time.monotonic() < deadline:
            if self.program.ready is None or self.program.ready():
                return
            time.sleep(0.05)
        end = " | ".join(self._log.read_text(errors="replace").splitlines()[-5:])
        raise StackError(f"{self.program.name} did not become ready: {end or 'it said nothing'} (log: {self._log})")

    def kill(self) -> None:
        """End it with SIGKILL, as a crash would."""
        self._end(kill=True)

    def stop(self, grace_seconds: float = 15.0) -> None:
        """End it with SIGTERM, and with SIGKILL when it has not ended after the grace period."""
        self._end(kill=False, grace_seconds=grace_seconds)

    def _end(self, *, kill: bool, grace_seconds: float = 0.0) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        if not kill:
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(grace_seconds)
        end_group(process.pid, signal.SIGKILL)
        process.wait()
        self._leash.drop(process.pid)
