"""Kafka and Mongo as local processes for as long as a context lasts: what tests and tools start."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from deploy.local.kafka import install_kafka, kafka_program
from deploy.local.leash import Leash
from deploy.local.mongo import install_mongo, mongo_program, mongo_uri
from deploy.local.ports import HOST, find_free_port
from deploy.local.program import Program
from deploy.local.server import OwnServer, Server
from deploy.local.source import docker_answers
from deploy.local.tools import can_run_kafka


@dataclass(frozen=True, slots=True)
class StackAddress:
    """Where the two servers are."""

    kafka_bootstrap_servers: str
    mongodb_uri: str


@contextmanager
def running(folder: Path, *programs: Program, temporary: bool = False) -> Iterator[tuple[Server, ...]]:
    """Start these programs together, wait until each is ready, stop them at the end. Their logs go to `folder`.

    When it is temporary they are killed at the end, nothing of theirs being needed, and the folder is removed.
    """
    with Leash() as leash, ExitStack() as at_end:
        if temporary:
            leash.remove_at_end(folder)
        servers = tuple(Server(program, leash, folder / f"{program.name}.log") for program in programs)
        for server in servers:
            server.start()
            at_end.callback(server.kill if temporary else server.stop)
        for server in servers:
            server.await_ready()
        yield servers


@contextmanager
def own_kafka(folder: Path, port: int | None = None) -> Iterator[tuple[OwnServer, str]]:
    """A Kafka of your own, to kill and start as you like, and its bootstrap address: a process, or a container where
    Java or Maven is missing and Docker is there."""
    port = port or find_free_port()
    if not can_run_kafka() and docker_answers():
        from deploy.local.containers import own_kafka_container  # a development dependency

        with own_kafka_container(port) as container:
            yield container, f"{HOST}:{port}"
        return
    install_kafka()
    with running(folder, kafka_program(folder / "kafka", port)) as (server,):
        yield server, f"{HOST}:{port}"


@contextmanager
def own_mongo(folder: Path, port: int | None = None) -> Iterator[tuple[OwnServer, str]]:
    """A Mongo of your own and its URI; it keeps what it acknowledged, over a kill too. Always a process: all that it
    needs comes from PyPI."""
    command = install_mongo()
    port = port or find_free_port()
    with running(folder, mongo_program(command, folder / "mongo", port)) as (server,):
        yield server, mongo_uri(port)


@contextmanager
def own_stack(
    folder: Path,
    *,
    kafka: bool = True,
    mongo: bool = True,
    kafka_port: int | None = None,
    mongo_port: int | None = None,
) -> Iterator[StackAddress]:
    """Both servers (or one), started together; Mongo keeps nothing, and the folder is removed."""
    kafka_port, mongo_port = kafka_port or find_free_port(), mongo_port or find_free_port()
    programs: list[Program] = []
    if kafka:
        install_kafka()
        programs.append(kafka_program(folder / "kafka", kafka_port))
    if mongo:
        programs.append(mongo_program(install_mongo(), folder / "mongo", mongo_port, durable=False))
    with running(folder, *programs, temporary=True):
        yield StackAddress(f"{HOST}:{kafka_port}", mongo_uri(mongo_port))
