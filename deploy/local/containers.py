"""Kafka and Mongo in containers that live as long as a context: for tests, where a Docker daemon answers.

Imported only then: testcontainers is a development dependency.
"""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

from testcontainers.core.container import DockerContainer

from deploy.local.errors import StackError
from deploy.local.ports import HOST, find_free_port
from deploy.local.probes import kafka_answers, mongo_answers
from deploy.local.program import Probe

KAFKA_IMAGE = os.environ.get("KAFKA_IMAGE") or "apache/kafka:4.4.0"
MONGO_IMAGE = os.environ.get("MONGO_IMAGE") or "mongo:8"
READY_SECONDS = 120.0


class ContainerServer:
    """A container as an `OwnServer`: what it has written outlives its process, since it is not removed in between."""

    def __init__(self, container: DockerContainer, ready: Probe) -> None:
        self._container = container
        self._ready = ready

    @property
    def pid(self) -> int | None:
        """The id of its process on the daemon's machine."""
        wrapped = self._container.get_wrapped_container()
        wrapped.reload()
        return int(wrapped.attrs["State"]["Pid"]) or None

    def start(self) -> None:
        """Start it again."""
        self._container.get_wrapped_container().start()

    def await_ready(self) -> None:
        """Return when the server does its work. Raises StackError when it does not."""
        _await(self._ready, self._container.image)

    def kill(self) -> None:
        """SIGKILL to its process."""
        self._container.get_wrapped_container().kill()

    def stop(self, grace_seconds: float = 15.0) -> None:
        """SIGTERM, and SIGKILL after the grace period."""
        self._container.get_wrapped_container().stop(timeout=round(grace_seconds))


@contextmanager
def own_kafka_container(port: int) -> Iterator[ContainerServer]:
    """One KRaft node that listens on `port`, ready, removed at the end.

    Not testcontainers' KafkaContainer: that one fits Confluent's images only. The port is chosen before the start
    because the broker has to advertise it.
    """
    environ = {
        "KAFKA_NODE_ID": "1",
        "KAFKA_PROCESS_ROLES": "broker,controller",
        "KAFKA_CONTROLLER_QUORUM_VOTERS": "1@localhost:9093",
        "KAFKA_CONTROLLER_LISTENER_NAMES": "CONTROLLER",
        "KAFKA_LISTENERS": f"PLAINTEXT://:{port},CONTROLLER://:9093",
        "KAFKA_ADVERTISED_LISTENERS": f"PLAINTEXT://{HOST}:{port}",
        "KAFKA_LISTENER_SECURITY_PROTOCOL_MAP": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT",
        "KAFKA_AUTO_CREATE_TOPICS_ENABLE": "false",
        "KAFKA_OFFSETS_TOPIC_NUM_PARTITIONS": "8",
        "KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR": "1",
        "KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR": "1",
        "KAFKA_TRANSACTION_STATE_LOG_MIN_ISR": "1",
        "KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS": "0",
    }
    with DockerContainer(KAFKA_IMAGE).with_envs(**environ).with_bind_ports(port, port) as container:
        server = ContainerServer(container, kafka_answers(f"{HOST}:{port}"))
        server.await_ready()
        yield server


@contextmanager
def kafka_container() -> Iterator[str]:
    """One KRaft node; yields its bootstrap address."""
    port = find_free_port()
    with own_kafka_container(port):
        yield f"{HOST}:{port}"


@contextmanager
def mongo_container() -> Iterator[str]:
    """A standalone MongoDB; yields its URI. Nothing here needs a replica set."""
    port = find_free_port()
    uri = f"mongodb://{HOST}:{port}/?directConnection=true&journal=true"
    with DockerContainer(MONGO_IMAGE).with_bind_ports(27017, port):
        _await(mongo_answers(uri), MONGO_IMAGE)
        yield uri


def _await(ready: Probe, image: str) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while not ready():
        if time.monotonic() > deadline:
            raise StackError(f"the container of {image} did not become ready in {READY_SECONDS:.0f} s.")
        time.sleep(0.2)
