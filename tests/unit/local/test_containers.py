"""A Kafka in a container, killed and started as a process is. The daemon is a fake: there may be none here."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from deploy.local import containers, servers
from deploy.local.containers import ContainerServer
from deploy.local.errors import StackError


class Daemon:
    """What a daemon knows of one container."""

    image = "kafka"

    def __init__(self) -> None:
        self.lives = 1
        self.running = True
        self.ended_by: list[str] = []
        self.attrs: dict[str, Any] = {}

    def get_wrapped_container(self) -> "Daemon":
        return self

    def reload(self) -> None:
        self.attrs = {"State": {"Pid": 1000 + self.lives if self.running else 0}}

    def kill(self) -> None:
        self.running = False
        self.ended_by.append("SIGKILL")

    def stop(self, timeout: int) -> None:
        self.running = False
        self.ended_by.append(f"SIGTERM, {timeout} s")

    def start(self) -> None:
        self.running, self.lives = True, self.lives + 1


def test_a_container_is_killed_and_lives_again_as_another_process() -> None:
    daemon = Daemon()
    server = ContainerServer(daemon, lambda: daemon.running)  # type: ignore[arg-type]  # a fake
    first = server.pid
    server.kill()
    assert server.pid is None

    server.start()
    server.await_ready()
    assert server.pid not in (None, first)

    server.stop(grace_seconds=3)
    assert daemon.ended_by == ["SIGKILL", "SIGTERM, 3 s"]


def test_one_that_does_not_come_up_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(containers, "READY_SECONDS", 0.0)
    with pytest.raises(StackError, match="the container of kafka did not become ready"):
        ContainerServer(Daemon(), lambda: False).await_ready()  # type: ignore[arg-type]  # a fake


@pytest.mark.parametrize(("java", "docker", "where"), [(True, True, "process"), (False, True, "container")])
def test_a_kafka_of_a_tests_own_is_a_container_only_where_it_can_be_no_process(
    java: bool, docker: bool, where: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """`make test` asked for Java and Maven where Docker was there."""

    @contextmanager
    def given(kind: str) -> Iterator[Any]:
        yield (kind,) if kind == "process" else kind

    monkeypatch.setattr(servers, "can_run_kafka", lambda: java)
    monkeypatch.setattr(servers, "docker_answers", lambda: docker)
    monkeypatch.setattr(servers, "install_kafka", lambda: None)
    monkeypatch.setattr(servers, "kafka_program", lambda *_: None)
    monkeypatch.setattr(servers, "running", lambda *_: given("process"))
    monkeypatch.setattr(containers, "own_kafka_container", lambda _: given("container"))

    with servers.own_kafka(tmp_path) as (server, _):
        assert server == where
