"""Decides where each part of the stack comes from: the environment, Docker, or a local process, in this order."""

import shutil
import subprocess
from collections.abc import Mapping
from enum import StrEnum
from functools import cache

from deploy.local.errors import StackError

KAFKA_VARIABLE = "KAFKA_BOOTSTRAP_SERVERS"
MONGO_VARIABLE = "MONGODB_URI"
MODE_VARIABLE = "SIGMORA_STACK"
_TIMEOUT_SECONDS = 5


class Source(StrEnum):
    """Where a part comes from."""

    ENVIRONMENT = "environment"  # somebody runs it and named it
    DOCKER = "docker"
    PROCESS = "process"


def source_of(variable: str, environ: Mapping[str, str]) -> Source:
    """Where the server that `variable` names comes from.

    `SIGMORA_STACK=docker` and `=process` say so instead of looking for a daemon. Raises StackError for another value.
    """
    if environ.get(variable, "").strip():
        return Source.ENVIRONMENT
    mode = environ.get(MODE_VARIABLE, "").strip() or "auto"
    if mode == "auto":
        return Source.DOCKER if docker_answers() else Source.PROCESS
    if mode not in (Source.DOCKER, Source.PROCESS):
        raise StackError(f"{MODE_VARIABLE} is {mode!r}: it must be auto, docker or process.")
    return Source(mode)


@cache
def docker_answers() -> bool:
    """Whether there is a Docker daemon, and Compose; a client alone does not count."""
    docker = shutil.which("docker")
    return docker is not None and all(
        _succeeds(docker, *arguments) for arguments in (("info", "--format", "{{.ID}}"), ("compose", "version"))
    )


def _succeeds(*argv: str) -> bool:
    try:
        asked = subprocess.run(argv, capture_output=True, timeout=_TIMEOUT_SECONDS, check=False)  # noqa: S603 - fixed
    except (OSError, subprocess.TimeoutExpired):
        return False
    return asked.returncode == 0
