"""The supervisor with stand-in children: order, restarts, steps, ends."""

import asyncio
import io
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from deploy.local.errors import StackError
from deploy.local.logs import Terminal
from deploy.local.ports import find_free_port, require_free
from deploy.local.probes import http_answers
from deploy.local.program import Program, Step
from deploy.local.supervisor import Supervisor

CHECKOUT = Path(__file__).resolve().parents[3]
FOREVER = "import time; time.sleep(600)"
DEAF = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(600)"


def child(name: str, code: str, **more: object) -> Program:
    return Program(name, (sys.executable, "-S", "-c", code), **more)  # type: ignore[arg-type] # fields by name


def step(name: str, code: str, **more: object) -> Step:
    return Step(name, (sys.executable, "-S", "-c", code), **more)  # type: ignore[arg-type] # fields by name


def is_alive(pid: int) -> bool:
    """Whether the process runs; one that ended and was not yet reaped by its parent does not."""
    answer = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return bool(answer.stdout.strip()) and not answer.stdout.strip().startswith("Z")


def await_true(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, f"never: {what}"
        time.sleep(0.02)


def state(folder: Path) -> dict[str, dict[str, int]]:
    """Who runs, as the supervisor has written it."""
    try:
        read: dict[str, dict[str, int]] = json.loads((folder / "processes.json").read_text())
    except FileNotFoundError:
        return {}
    return read


@asynccontextmanager
async def supervised(
    folder: Path, *table: Program | Step, grace: float = 5
) -> AsyncIterator[tuple[Supervisor, io.StringIO]]:
    """The table, running and ready; stopped at the end."""
    output = io.StringIO()
    supervisor = Supervisor(table, folder, Terminal(output), ready_seconds=20, grace_seconds=grace)
    ready = asyncio.Event()
    running = asyncio.create_task(supervisor.run(ready.set))
    is_ready = asyncio.create_task(ready.wait())
    await asyncio.wait([running, is_ready], return_when=asyncio.FIRST_COMPLETED)
    is_ready.cancel()
    try:
        if running.done():
            running.result()
        yield supervisor, output
    finally:
        supervisor.stop()
        await asyncio.wait([running])


async def seen(condition: Callable[[], bool], what: str) -> None:
    await asyncio.to_thread(await_true, condition, what)


async def test_a_program_starts_when_what_it_needs_is_done(tmp_path: Path) -> None:
    written = tmp_path / "written"
    async with supervised(
        tmp_path,
        child("second", f"print(open({str(written)!r}).read(), flush=True); {FOREVER}", after=("first",)),
        step("first", f"import time; time.sleep(0.2); open({str(written)!r}, 'w').write('the step was done')"),
    ) as (_, output):
        await seen(lambda: "the step was done" in output.getvalue(), "the second reads what the first wrote")


async def test_a_program_waits_until_the_server_it_needs_answers(tmp_path: Path) -> None:
    port = find_free_port()
    server = Program(
        "server",
        (sys.executable, "-m", "http.server", str(port), "--bind", "127.0.0.1", "--directory", str(tmp_path)),
        http_answers(f"http://127.0.0.1:{port}/"),
        is_server=True,
    )
    connects = f"import socket; socket.create_connection(('127.0.0.1', {port})).close(); print('connected', flush=True)"
    async with supervised(tmp_path, child("client", f"{connects}; {FOREVER}", after=("server",)), server):
        await seen(lambda: "connected" in (tmp_path / "logs/client.log").read_text(), "the first connection succeeds")
        assert state(tmp_path)["client"]["restarts"] == 0


async def test_a_killed_program_is_started_again(tmp_path: Path) -> None:
    async with supervised(tmp_path, child("victim", FOREVER)) as (_, output):
        before = state(tmp_path)["victim"]["pid"]
        os.kill(before, signal.SIGKILL)
        await seen(lambda: state(tmp_path).get("victim", {}).get("restarts") == 1, "a second life")
        assert state(tmp_path)["victim"]["pid"] != before
        assert "ended by SIGKILL; starting it again in 0.5 s" in output.getvalue()


async def test_what_a_dead_program_left_running_is_ended_before_it_is_started_again(tmp_path: Path) -> None:
    """A grandchild that kept the port would keep every later life from starting."""
    leaves_one = f"import subprocess, sys; print(subprocess.Popen([sys.executable, '-c', {FOREVER!r}]).pid, flush=True)"
    async with supervised(tmp_path, child("parent", leaves_one)):
        await seen(lambda: (tmp_path / "logs/parent.log").read_text().count("\n") >= 2, "it ended")
        grandchild = int((tmp_path / "logs/parent.log").read_text().split()[0])
        await seen(lambda: not is_alive(grandchild), "the grandchild is gone")


async def test_a_failed_step_stops_everything_and_shows_what_it_said(tmp_path: Path) -> None:
    failing = step("topics", "print('no such broker'); raise SystemExit(3)")
    with pytest.raises(StackError, match=r"`topics` failed with 3:\n(.|\n)*no such broker"):
        async with supervised(tmp_path, child("server", FOREVER), failing, child("api", FOREVER, after=("topics",))):
            pytest.fail("it must not become ready")
    assert state(tmp_path) == {}
    assert not (tmp_path / "logs/api.log").exists()


async def test_a_program_that_refuses_its_settings_stops_everything_and_shows_what_it_said(tmp_path: Path) -> None:
    """It was started again until "not ready after 120 s", which did not say what is wrong with the setting."""
    refusing = child("api", "print('API_PORT: no number'); raise SystemExit(2)", ready=lambda: False)
    with pytest.raises(StackError, match=r"`api` cannot run as it is set:\n(.|\n)*API_PORT: no number"):
        async with supervised(tmp_path, refusing):
            pytest.fail("it must not become ready")


@pytest.mark.parametrize("entry", [Program("java", ("/nowhere/java",)), Step("java", ("/nowhere/java",))])
async def test_what_cannot_be_executed_is_named(entry: Program | Step, tmp_path: Path) -> None:
    """It was a traceback."""
    with pytest.raises(StackError, match=r"^`java` cannot be started: .*/nowhere/java"):
        await Supervisor([entry], tmp_path, Terminal(io.StringIO())).run(lambda: None)


async def test_what_is_not_ready_in_time_is_named(tmp_path: Path) -> None:
    supervisor = Supervisor(
        [child("well", FOREVER), child("slow", FOREVER, ready=lambda: False)],
        tmp_path,
        Terminal(io.StringIO()),
        ready_seconds=0.3,
    )
    with pytest.raises(StackError, match=r"not ready after 0.3 s: slow\."):
        await supervisor.run(lambda: None)


async def test_servers_stop_after_those_who_need_them(tmp_path: Path) -> None:
    """Each says when it got its SIGTERM; the client takes its time."""
    order = tmp_path / "order"
    goes = "import signal, sys, time\ndef end(*_):\n time.sleep({0}); open({1!r}, 'a').write('{2} '); sys.exit()\n"
    goes += "signal.signal(signal.SIGTERM, end); print('up', flush=True)\nwhile True: time.sleep(1)"
    async with supervised(
        tmp_path,
        child("kafka", goes.format(0, str(order), "server"), is_server=True),
        child("api", goes.format(0.3, str(order), "client")),
    ):
        logs = [tmp_path / "logs/kafka.log", tmp_path / "logs/api.log"]
        await seen(lambda: all("up" in log.read_text() for log in logs), "both handle signals")
    assert order.read_text() == "client server "


async def test_a_program_that_ignores_sigterm_is_killed_after_the_grace(tmp_path: Path) -> None:
    async with supervised(tmp_path, child("deaf", DEAF), grace=0.2):
        await seen(lambda: "deaf" in (tmp_path / "logs/deaf.log").read_text(), "it ignores SIGTERM")
        pid = state(tmp_path)["deaf"]["pid"]
    assert not is_alive(pid)


async def test_a_stop_while_a_step_is_still_awaited_ends_at_once(tmp_path: Path) -> None:
    supervisor = Supervisor(
        [step("long", FOREVER), child("waits", FOREVER, after=("long",))], tmp_path, Terminal(io.StringIO())
    )
    running = asyncio.create_task(supervisor.run(lambda: pytest.fail("never ready")))
    await seen(lambda: "long" in state(tmp_path), "the step runs")
    supervisor.stop()
    await asyncio.wait_for(running, 10)
    assert state(tmp_path) == {}


RUNS_A_TABLE = """
import asyncio, sys
from pathlib import Path
from deploy.local.logs import Terminal
from deploy.local.program import Program
from deploy.local.supervisor import Supervisor
deaf = (sys.executable, "-S", "-c", {deaf!r})
supervisor = Supervisor([Program("one", deaf), Program("two", deaf)], Path({folder!r}), Terminal())
asyncio.run(supervisor.run(lambda: None))
"""


def test_nothing_is_left_when_the_supervisor_is_killed(tmp_path: Path) -> None:
    """Not even children that ignore SIGTERM: the guardian ends their groups."""
    code = RUNS_A_TABLE.format(folder=str(tmp_path), deaf=DEAF)
    with subprocess.Popen([sys.executable, "-c", code], cwd=CHECKOUT, stdout=subprocess.DEVNULL) as supervisor:
        logs = [tmp_path / "logs/one.log", tmp_path / "logs/two.log"]
        await_true(lambda: all(log.exists() and "deaf" in log.read_text() for log in logs), "both run")
        pids = [entry["pid"] for entry in state(tmp_path).values()]
        supervisor.kill()
    assert len(pids) == 2
    await_true(lambda: not any(is_alive(pid) for pid in pids), "both are gone")


TALKS = "import time\nwhile True: print('a line', flush=True); time.sleep(0.01)"


def test_all_ends_quietly_when_nobody_reads_any_more(tmp_path: Path) -> None:
    """As after `make run | head`: every line became a traceback, and everything ran on."""
    code = RUNS_A_TABLE.format(folder=str(tmp_path), deaf=TALKS)
    command, pipe = [sys.executable, "-c", code], subprocess.PIPE
    with subprocess.Popen(command, cwd=CHECKOUT, stdout=pipe, stderr=pipe, text=True) as supervisor:
        assert supervisor.stdout
        assert supervisor.stderr
        assert "a line" in supervisor.stdout.readline()
        pids = [entry["pid"] for entry in state(tmp_path).values()]
        supervisor.stdout.close()
        assert (supervisor.wait(30), supervisor.stderr.read()) == (0, "")
    assert not any(is_alive(pid) for pid in pids)


def test_a_port_in_use_is_named_with_its_variable() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(StackError, match=rf"^port {port} is in use: .* API_PORT=<port>\.$"):
            require_free({"API_PORT": port}, ["API_PORT"])
