"""`make run` itself: it comes up, its first call works, what dies comes back, and Ctrl-C leaves nothing."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from deploy.local.ports import DEFAULT_PORTS, HOST, find_free_port, require_free
from deploy.local.probes import http_answers
from deploy.local.servers import StackAddress

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("e2e")]

CHECKOUT = Path(__file__).resolve().parents[2]
PATIENCE = 90


def await_true(condition: Callable[[], bool], what: Callable[[], str]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, f"never: {what()}"
        time.sleep(0.05)


def runs(group: int) -> bool:
    """Whether a process of the group is left."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def test_what_make_run_starts_works_comes_back_and_ends(
    stack: StackAddress, topic_prefix: str, database_name: str, tmp_path: Path
) -> None:
    ports = {variable: find_free_port() for variable in DEFAULT_PORTS}
    environ = {
        **{name: value for name, value in os.environ.items() if not name.startswith("SIGMORA_") and name != "ENV"},
        **{variable: str(port) for variable, port in ports.items()},
        "KAFKA_BOOTSTRAP_SERVERS": stack.kafka_bootstrap_servers,
        "MONGODB_URI": stack.mongodb_uri,
        "MONGODB_DB": database_name,
        "TOPIC_PREFIX": topic_prefix,
        "SIGMORA_RUN_FOLDER": str(tmp_path / "run"),
    }
    said = tmp_path / "said"

    def running() -> dict[str, dict[str, int]]:
        return dict(json.loads((tmp_path / "run/processes.json").read_text()))

    command = [sys.executable, "-m", "libs.common.cli", "up"]
    with said.open("wb") as output:
        up = subprocess.Popen(command, cwd=CHECKOUT, env=environ, stdout=output, stderr=output, start_new_session=True)
    try:
        await_true(lambda: "Sigmora is ready" in said.read_text() or up.poll() is not None, said.read_text)
        first_call = re.search(r"A first call, .*:\n\n((?:  .*\n)+)", said.read_text())
        assert first_call, said.read_text()
        answer = subprocess.run(["sh", "-c", first_call[1]], capture_output=True, text=True, check=True)
        assert json.loads(answer.stdout)["status"] == "QUEUED"
        inbox = f"http://{HOST}:{ports['SIMULATOR_EMAIL_PORT']}/messages?to=user_001@example.com"
        await_true(lambda: "Hello Ada!" in httpx.get(inbox).text, said.read_text)

        os.kill(running()["dispatcher"]["pid"], signal.SIGKILL)
        await_true(lambda: running().get("dispatcher", {}).get("restarts") == 1, said.read_text)
        await_true(http_answers(f"http://{HOST}:{ports['DISPATCHER_PORT']}/readyz"), said.read_text)

        groups = {name: process["pid"] for name, process in running().items()}
        up.send_signal(signal.SIGINT)
        assert up.wait(PATIENCE) == 0
    finally:
        up.kill()
        up.wait()

    assert groups.keys() == {"simulator", "api", "router", "dispatcher", "emitter"}
    assert [name for name, group in groups.items() if runs(group)] == []
    require_free(ports, ports)
