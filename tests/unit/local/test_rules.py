"""The small decisions of the local stack: ports, sources, back-off, settings, secrets, logs."""

import io
import shutil
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path

import pytest

from deploy.local import source, tools
from deploy.local.backoff import Backoff
from deploy.local.environment import developer_environ, read_or_make_secrets, with_user_settings
from deploy.local.errors import StackError
from deploy.local.logs import LINES_PER_SECOND, ProcessLog, Terminal
from deploy.local.ports import DEFAULT_PORTS, HOST, read_ports, require_free
from deploy.local.source import KAFKA_VARIABLE, MONGO_VARIABLE, Source, source_of

SECRETS = {"SECRET_KEY": "s", "PROVIDER_CALLBACK_TOKEN": "t", "PROVIDER_API_KEY": "k"}


@pytest.fixture
def no_memory() -> Iterator[None]:
    """What was found on this machine is not remembered over the test."""
    tools.find_java.cache_clear()
    source.docker_answers.cache_clear()
    yield
    tools.find_java.cache_clear()
    source.docker_answers.cache_clear()


def put_program(folder: Path, name: str, script: str) -> Path:
    program = folder / name
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    return program


@pytest.mark.parametrize("text", ["http", "0", "65536", "-1", "80.5"])
def test_a_port_that_is_no_port_is_refused_by_name(text: str) -> None:
    with pytest.raises(StackError, match=r"^API_PORT is '.*': it must be a port number"):
        read_ports({"API_PORT": text})


def test_ports_are_the_defaults_unless_set() -> None:
    assert read_ports({"API_PORT": "8100", "KAFKA_PORT": ""}) == {**DEFAULT_PORTS, "API_PORT": 8100}


def test_one_port_for_two_parts_is_refused_as_that_whoever_listens_there() -> None:
    """It was told as in use when another test of the same run happened to listen on the port."""
    with socket.create_server((HOST, 0)) as listener:
        port = listener.getsockname()[1]
        with pytest.raises(StackError, match=f"API_PORT and ROUTER_PORT are both {port}"):
            require_free({"API_PORT": port, "ROUTER_PORT": port}, ["API_PORT", "ROUTER_PORT"])


def test_no_port_is_given_out_twice_even_to_two_processes(tmp_path: Path) -> None:
    """A router found its port in use by another part of the same run, which was given it before both listened."""
    take_many = (
        "import pathlib, sys; from deploy.local import ports;"
        f"ports._FREE_RANGE = range(32_000, 32_200); ports._GIVEN_OUT = pathlib.Path({str(tmp_path / 'ports.lock')!r});"
        "print(*(ports.find_free_port() for _ in range(40)), flush=True); sys.stdin.read()"
    )
    with ExitStack() as at_end:
        given: list[str] = []
        for _ in range(2):  # the first still runs, with nobody listening, when the second asks
            process = at_end.enter_context(
                subprocess.Popen([sys.executable, "-c", take_many], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            )
            assert process.stdout is not None
            given += process.stdout.readline().decode().split()

    assert len(given) == 80
    assert len(set(given)) == 80


def test_a_server_in_the_environment_wins_over_docker() -> None:
    environ = {KAFKA_VARIABLE: "broker:9092", "SIGMORA_STACK": "docker"}
    assert source_of(KAFKA_VARIABLE, environ) is Source.ENVIRONMENT
    assert source_of(MONGO_VARIABLE, environ) is Source.DOCKER


@pytest.mark.usefixtures("no_memory")
@pytest.mark.parametrize(
    ("script", "expected"),
    [("exit 0", Source.DOCKER), ("exit 1", Source.PROCESS), ("[ $1 = info ]", Source.PROCESS)],
)
def test_docker_counts_only_when_its_daemon_answers_and_compose_is_there(
    script: str, expected: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_program(tmp_path, "docker", script)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert source_of(KAFKA_VARIABLE, {}) is expected


def test_an_unknown_mode_is_refused() -> None:
    with pytest.raises(StackError, match="SIGMORA_STACK is 'podman': it must be auto, docker or process"):
        source_of(KAFKA_VARIABLE, {"SIGMORA_STACK": "podman"})


@pytest.mark.usefixtures("no_memory")
def test_a_missing_java_is_one_line_with_the_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    with pytest.raises(
        StackError, match=r"Java 17 or newer \(none was found\): install it .*KAFKA_BOOTSTRAP_SERVERS"
    ) as no:
        tools.find_java()
    assert "\n" not in str(no.value)


@pytest.mark.usefixtures("no_memory")
@pytest.mark.parametrize(("said", "version"), [("1.8.0_402", 8), ("11.0.2", 11), ("16", 16)])
def test_an_old_java_is_named(said: str, version: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put_program(tmp_path, "java", f"echo 'openjdk version \"{said}\"' >&2")
    monkeypatch.setenv("PATH", f"{tmp_path}")
    monkeypatch.delenv("JAVA_HOME", raising=False)
    with pytest.raises(StackError, match=f"java is version {version}"):
        tools.find_java()


@pytest.mark.usefixtures("no_memory")
def test_java_home_wins_over_an_old_java_on_the_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "bin").mkdir()
    put_program(tmp_path, "java", "echo 'openjdk version \"11.0.2\"' >&2")
    new = put_program(tmp_path / "bin", "java", "echo 'openjdk version \"21.0.1\"' >&2")
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    assert tools.find_java() == (str(new), 'openjdk version "21.0.1"')


def test_a_missing_maven_is_one_line_with_the_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(StackError, match=r"Maven .* install it .*KAFKA_BOOTSTRAP_SERVERS"):
        tools.find_maven()


def test_a_failed_tool_says_what_it_said() -> None:
    command = [sys.executable, "-c", "print('no route to host'); raise SystemExit(4)"]
    with pytest.raises(StackError, match=r"fetching jars failed \(python.* ended with 4\): no route to host"):
        tools.run_tool(command, "fetching jars")


def test_the_back_off_doubles_to_ten_seconds() -> None:
    backoff, waits = Backoff(), []
    for _ in range(7):
        backoff = backoff.after_life_of(timedelta(seconds=1))
        waits.append(backoff.wait.total_seconds())
    assert waits == [0.5, 1, 2, 4, 8, 10, 10]


def test_a_life_of_thirty_seconds_begins_the_back_off_anew() -> None:
    assert Backoff(deaths=9).after_life_of(timedelta(seconds=30)).wait == timedelta(seconds=0.5)
    assert Backoff(deaths=9).after_life_of(timedelta(seconds=29)).wait == timedelta(seconds=10)


def test_what_the_user_has_set_wins_over_the_developer_defaults() -> None:
    defaults = developer_environ(read_ports({}), SECRETS)
    mine = with_user_settings(defaults, {"SMS_PROVIDER_BASE_URL": "https://sms.example", "EMAIL_PROVIDER_API_KEY": ""})
    assert mine["SMS_PROVIDER_BASE_URL"] == "https://sms.example"
    assert mine["EMAIL_PROVIDER_BASE_URL"] == "http://127.0.0.1:9001"
    assert mine["EMAIL_PROVIDER_API_KEY"] == "k"


def test_the_simulator_reports_with_the_token_that_the_api_wants() -> None:
    defaults = developer_environ(read_ports({}), SECRETS)
    mine = with_user_settings(defaults, {"PROVIDER_CALLBACK_TOKEN": "chosen"})
    assert mine["SIMULATOR_CALLBACK_TOKEN"] == mine["PROVIDER_CALLBACK_TOKEN"] == "chosen"


def test_webhooks_may_be_on_this_machine_for_developers_alone() -> None:
    defaults = developer_environ(read_ports({}), SECRETS)
    opened = {"WEBHOOK_ALLOW_HTTP", "WEBHOOK_ALLOW_PRIVATE"}
    assert opened <= with_user_settings(defaults, {}).keys()
    assert not opened & with_user_settings(defaults, {"ENV": "prod"}).keys()


def test_secrets_are_kept_and_private(tmp_path: Path) -> None:
    file = tmp_path / "run" / "secrets.json"
    first = read_or_make_secrets(file)
    assert read_or_make_secrets(file) == first
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert len(set(first.values())) == 3
    shutil.rmtree(tmp_path / "run")
    assert read_or_make_secrets(file) != first


def test_a_damaged_secrets_file_is_made_anew(tmp_path: Path) -> None:
    (tmp_path / "secrets.json").write_text("{half")
    assert read_or_make_secrets(tmp_path / "secrets.json")["SECRET_KEY"]


def test_a_line_is_shown_whole_however_it_arrives(tmp_path: Path) -> None:
    output = io.StringIO()
    log = ProcessLog("api", tmp_path, Terminal(output))
    for chunk in (b"one\ntw", b"o \xf0\x9f", b"\x99\x82\nthree"):
        log.feed(chunk)
    log.close()
    assert output.getvalue() == "       api | one\n       api | two \U0001f642\n       api | three\n"
    assert log.path.read_text() == "one\ntwo \U0001f642\nthree\n"


def test_a_log_keeps_the_newest_lines_within_its_bound(tmp_path: Path) -> None:
    log = ProcessLog("api", tmp_path, Terminal(io.StringIO()), file_bytes=1000)
    for number in range(1000):
        log.feed(f"{number}\n".encode())
    log.close()
    kept = log.path.with_suffix(".log.1").read_text() + log.path.read_text()
    assert len(kept) <= 2000
    assert kept.splitlines()[-1] == "999"


def test_a_flood_is_written_whole_but_shown_in_part(tmp_path: Path) -> None:
    output, now = io.StringIO(), [5.0]
    log = ProcessLog("api", tmp_path, Terminal(output), clock=lambda: now[0])
    log.feed(b"again\n" * (LINES_PER_SECOND + 7))
    now[0] = 6.0
    log.feed(b"calm\n")
    log.close()
    assert output.getvalue().count("again") == LINES_PER_SECOND
    assert "... 7 more lines in" in output.getvalue()
    assert log.path.read_text().count("again") == LINES_PER_SECOND + 7
