"""Kafka and Mongo for `sigmora up`: programs to run, or the address of a server that runs already. Data is kept."""

import os
import shutil
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from deploy.local import places
from deploy.local.errors import StackError
from deploy.local.kafka import install_kafka, kafka_program
from deploy.local.locks import try_to_hold
from deploy.local.mongo import install_mongo, mongo_program, mongo_uri
from deploy.local.ports import HOST
from deploy.local.probes import kafka_answers, mongo_answers
from deploy.local.program import Probe, Program
from deploy.local.source import KAFKA_VARIABLE, MONGO_VARIABLE, Source, docker_answers, source_of
from deploy.local.tools import run_tool

COMPOSE = ("docker", "compose", "-f", str(places.COMPOSE_FILE))
_PORT_OF = {KAFKA_VARIABLE: "KAFKA_PORT", MONGO_VARIABLE: "MONGO_PORT"}


@dataclass(frozen=True, slots=True)
class Parts:
    """The programs to run (none for a server in the environment) and where the servers are."""

    programs: tuple[Program, ...]
    addresses: Mapping[str, str]  # by variable
    sources: Mapping[str, Source]


def server_ports(environ: Mapping[str, str]) -> list[str]:
    """The variables of the ports that Kafka and Mongo will listen on; none for a server that somebody else runs."""
    return [port for name, port in _PORT_OF.items() if source_of(name, environ) is not Source.ENVIRONMENT]


def find_parts(environ: Mapping[str, str], ports: Mapping[str, int]) -> Parts:
    """Decide where each part comes from, and fetch what is not there yet, both at once.

    Raises StackError when a tool is missing, or a server in the environment does not answer.
    """
    sources = {variable: source_of(variable, environ) for variable in _PORT_OF}
    kafka_port, mongo_port = ports["KAFKA_PORT"], ports["MONGO_PORT"]
    addresses = {
        KAFKA_VARIABLE: environ.get(KAFKA_VARIABLE, "").strip() or f"{HOST}:{kafka_port}",
        MONGO_VARIABLE: environ.get(MONGO_VARIABLE, "").strip() or mongo_uri(mongo_port),
    }
    probes = {
        KAFKA_VARIABLE: kafka_answers(addresses[KAFKA_VARIABLE]),
        MONGO_VARIABLE: mongo_answers(addresses[MONGO_VARIABLE]),
    }
    processes: dict[str, Callable[[], Program]] = {
        KAFKA_VARIABLE: lambda: _kafka_process(kafka_port),
        MONGO_VARIABLE: lambda: mongo_program(install_mongo(), places.DATA / "mongo", mongo_port),
    }
    with ThreadPoolExecutor() as pool:
        found = [
            pool.submit(_program_of, variable, source, processes[variable], probes[variable])
            for variable, source in sources.items()
        ]
    return Parts(tuple(p for f in found if (p := f.result())), addresses, sources)


def forget_data() -> None:
    """Remove what Kafka and Mongo have kept, in Docker's volumes too. Raises StackError while `sigmora up` runs."""
    lock = try_to_hold(places.SUPERVISOR_LOCK)
    if lock is None:
        raise StackError("Sigmora is running from this folder: stop it first (Ctrl-C where it runs).")
    try:
        shutil.rmtree(places.DATA, ignore_errors=True)
        if docker_answers():
            run_tool([*COMPOSE, "down", "--volumes"], "removing the volumes of Kafka and MongoDB")
    finally:
        os.close(lock)


def _program_of(variable: str, source: Source, process: Callable[[], Program], ready: Probe) -> Program | None:
    if source is Source.PROCESS:
        return process()
    if source is Source.DOCKER:
        return compose_program({KAFKA_VARIABLE: "kafka", MONGO_VARIABLE: "mongo"}[variable], ready)
    if not ready():
        raise StackError(f"no server answers where {variable} says: start it, correct {variable} or unset it.")
    return None


def _kafka_process(port: int) -> Program:
    install_kafka()
    return kafka_program(places.DATA / "kafka", port)


def compose_program(service: str, ready: Probe) -> Program:
    """A service of compose.yaml in the foreground: it stops with its client and its lines join the merged view."""
    argv = (*COMPOSE, "up", "--no-color", "--no-log-prefix", "--no-deps", service)
    return Program(service, argv, ready, is_server=True)
