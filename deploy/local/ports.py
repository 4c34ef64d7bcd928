"""Which port each part listens on: the variable that sets it, its default, whether it is free."""

import errno
import os
import random
import socket
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType

from deploy.local.errors import StackError
from deploy.local.locks import try_to_hold_place

HOST = "127.0.0.1"

# variable -> port unless the environment says otherwise
DEFAULT_PORTS: Mapping[str, int] = MappingProxyType(
    {
        "KAFKA_PORT": 9092,
        "MONGO_PORT": 27017,
        "API_PORT": 8000,
        "ROUTER_PORT": 8001,
        "DISPATCHER_PORT": 8002,
        "SIMULATOR_EMAIL_PORT": 9001,
        "SIMULATOR_SMS_PORT": 9002,
        "SIMULATOR_PUSH_PORT": 9003,
        "SIMULATOR_WEBHOOK_PORT": 9004,
        "SIMULATOR_SMTP_PORT": 9025,
    }
)

# Below the range that Linux (from 32768) and macOS (from 49152) give to outgoing connections, so that a port that was
# found free here is not taken by somebody's client a moment later.
_FREE_RANGE = range(20_000, 32_000)
_GIVEN_OUT = Path(tempfile.gettempdir()) / f"sigmora-ports-{os.getuid()}.lock"
_given: set[int] = set()
_dice = random.Random()  # noqa: S311 - picks a port, not a secret


def read_ports(environ: Mapping[str, str]) -> dict[str, int]:
    """The port of every part. Raises StackError naming the variable that is not a port number."""
    ports = {}
    for variable, default in DEFAULT_PORTS.items():
        text = environ.get(variable, "").strip() or str(default)
        if not text.isdecimal() or not 0 < int(text) < 65_536:
            raise StackError(f"{variable} is {text!r}: it must be a port number, 1 to 65535.")
        ports[variable] = int(text)
    return ports


def require_free(ports: Mapping[str, int], variables: Iterable[str]) -> None:
    """Raise StackError for the first port that is wanted twice, or else in use; the line names it and its variable."""
    wanted: dict[int, str] = {}
    for variable in variables:
        port = ports[variable]
        if port in wanted:
            raise StackError(f"{wanted[port]} and {variable} are both {port}: give one of them another port.")
        wanted[port] = variable
    for port, variable in wanted.items():
        problem = _problem_with(port)
        if problem:
            raise StackError(
                f"port {port} {problem}: stop what listens there, or choose another with {variable}=<port>."
            )


def find_free_port() -> int:
    """A port that nobody listens on, and that no caller here or in another process of this user is given again before
    this process ends: what is to listen on it starts later, and may be killed and started again."""
    for _ in range(200):
        port = _dice.choice(_FREE_RANGE)
        if port not in _given and try_to_hold_place(_GIVEN_OUT, port) and _problem_with(port) is None:
            _given.add(port)
            return port
    raise StackError(f"no free port between {_FREE_RANGE.start} and {_FREE_RANGE.stop - 1}.")


def _problem_with(port: int) -> str | None:
    with socket.socket() as probe:
        # a connection in TIME_WAIT of our last run is no reason to refuse; a listener is
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            return "is in use" if error.errno == errno.EADDRINUSE else f"cannot be used ({error.strerror})"
    return None
