"""Finds and runs the outside programs that provisioning needs; says in one line what to install when one is missing."""

import os
import re
import shutil
import subprocess
from functools import cache
from pathlib import Path

from deploy.local.errors import StackError

OLDEST_JAVA = 17  # Kafka 4 needs it
NO_SERVER = "or set {variable} to a running server, or start Docker"


@cache
def find_java() -> tuple[str, str]:
    """The `java` to use (JAVA_HOME wins over PATH) and its version line. Raises StackError when there is none fit."""
    home = os.environ.get("JAVA_HOME")
    candidates = [str(Path(home) / "bin" / "java")] if home else []
    on_path = shutil.which("java")
    candidates += [on_path] if on_path else []
    found = "none was found"
    for java in candidates:
        version = _java_version(java)
        if version is None:
            continue
        line, major = version
        if major >= OLDEST_JAVA:
            return java, line
        found = f"{java} is version {major}"
    remedy = NO_SERVER.format(variable="KAFKA_BOOTSTRAP_SERVERS")
    raise StackError(
        f"Kafka needs Java {OLDEST_JAVA} or newer ({found}): "
        f"install it (Debian: `apt install openjdk-17-jre-headless`; macOS: `brew install openjdk`), {remedy}."
    )


def find_maven() -> str:
    """The `mvn` that fetches Kafka's jars. Raises StackError when there is none."""
    maven = shutil.which("mvn")
    if maven is None:
        remedy = NO_SERVER.format(variable="KAFKA_BOOTSTRAP_SERVERS")
        raise StackError(
            "Maven (`mvn`) is needed once, to fetch Kafka's jars: "
            f"install it (Debian: `apt install maven`; macOS: `brew install maven`), {remedy}."
        )
    return maven


def can_run_kafka() -> bool:
    """Whether what a Kafka of our own needs as a process is here: Java, and Maven to fetch it."""
    try:
        find_java()
        find_maven()
    except StackError:
        return False
    return True


def run_tool(argv: list[str], doing: str, *, timeout_seconds: float = 600) -> None:
    """Run one provisioning command to its end. Raises StackError with the end of its output when it fails."""
    try:
        done = subprocess.run(  # noqa: S603 - fixed commands of this package, no shell
            argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=timeout_seconds, check=False
        )
    except subprocess.TimeoutExpired:
        raise StackError(f"{doing} took more than {timeout_seconds:.0f} s and was given up: {argv[0]}") from None
    if done.returncode:
        end = " | ".join(done.stdout.strip().splitlines()[-6:])
        raise StackError(f"{doing} failed ({Path(argv[0]).name} ended with {done.returncode}): {end}")


def _java_version(java: str) -> tuple[str, int] | None:
    try:
        answer = subprocess.run(  # noqa: S603 - the java of this machine
            [java, "-version"], capture_output=True, text=True, timeout=20, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    # `openjdk version "17.0.15" 2025-04-15`, and `"1.8.0_402"` before Java 9
    match = re.search(r'version "(?:1\.)?(\d+)', answer.stderr)
    return (answer.stderr.strip(), int(match.group(1))) if match else None
