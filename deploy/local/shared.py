"""One stack for all processes of a test run: whoever asks first has it started, and it ends with the run.

The servers belong to a keeper, a process of its own, because the one who asks (an xdist worker) may end before the
others. The run's main process holds a lock; the keeper waits for that lock, and gets it when the run is over, however
it ended.
"""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from deploy.local.errors import StackError
from deploy.local.locks import hold, try_to_hold
from deploy.local.servers import StackAddress, own_stack
from deploy.local.source import KAFKA_VARIABLE, MONGO_VARIABLE, Source, source_of

START_SECONDS = 600.0  # the first start fetches Kafka's jars, or Docker's images
END_SECONDS = 15.0


@contextlib.contextmanager
def lend_stack(run: Path) -> Iterator[None]:
    """For the run's main process: while this lasts, `join_stack(run)` works. Starts nothing by itself."""
    lock = try_to_hold(run / "alive.lock")
    if lock is None:
        raise StackError(f"another test run uses {run}.")
    try:
        yield
    finally:
        started = (run / "keeper.log").exists()
        os.close(lock)
        deadline = time.monotonic() + END_SECONDS
        while started and run.exists() and time.monotonic() < deadline:
            time.sleep(0.02)  # the keeper's last act is to remove the folder
        shutil.rmtree(run, ignore_errors=True)


def join_stack(run: Path) -> StackAddress:
    """The stack of the run, started if nobody has yet. Raises StackError when it cannot be started."""
    address = run / "stack.json"
    with hold(run / "start.lock"):
        if not address.exists():
            _start_keeper(run)
    return StackAddress(**json.loads(address.read_text()))


@contextlib.contextmanager
def any_stack(folder: Path) -> Iterator[StackAddress]:
    """A stack from wherever it can be had: the environment, Docker, or processes with their data in `folder`."""
    kafka, mongo = source_of(KAFKA_VARIABLE, os.environ), source_of(MONGO_VARIABLE, os.environ)
    with contextlib.ExitStack() as parts:
        own = own_stack(folder, kafka=kafka is Source.PROCESS, mongo=mongo is Source.PROCESS)
        address = asdict(parts.enter_context(own))
        if Source.DOCKER in (kafka, mongo):
            from deploy.local.containers import kafka_container, mongo_container  # a development dependency

            if kafka is Source.DOCKER:
                address["kafka_bootstrap_servers"] = parts.enter_context(kafka_container())
            if mongo is Source.DOCKER:
                address["mongodb_uri"] = parts.enter_context(mongo_container())
        if kafka is Source.ENVIRONMENT:
            address["kafka_bootstrap_servers"] = os.environ[KAFKA_VARIABLE]
        if mongo is Source.ENVIRONMENT:
            address["mongodb_uri"] = os.environ[MONGO_VARIABLE]
        yield StackAddress(**address)


def keep(run: Path) -> None:
    """The keeper's life: start the stack, say where it is, wait for the end of the run."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with any_stack(run) as address:
        unfinished = run / "stack.json.unfinished"
        unfinished.write_text(json.dumps(asdict(address)))
        unfinished.rename(run / "stack.json")
        with hold(run / "alive.lock"):
            pass
    shutil.rmtree(run, ignore_errors=True)


def _start_keeper(run: Path) -> None:
    log = run / "keeper.log"
    with log.open("wb") as output:
        keeper = subprocess.Popen(  # noqa: S603 - this very module
            [sys.executable, "-m", "deploy.local.shared", str(run)],
            cwd=Path(__file__).resolve().parents[2],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    deadline = time.monotonic() + START_SECONDS
    while not (run / "stack.json").exists():
        if keeper.poll() is not None or time.monotonic() > deadline:
            keeper.kill()
            raise StackError(f"the servers for the tests did not start: {log.read_text(errors='replace')[-2000:]}")
        time.sleep(0.02)
    keeper.returncode = 0  # it outlives us on purpose: no ResourceWarning when this object goes


if __name__ == "__main__":
    try:
        keep(Path(sys.argv[1]))
    except StackError as problem:
        sys.exit(str(problem))
