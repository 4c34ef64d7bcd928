"""All of Sigmora as real processes on ports and names of their own, each one to be killed and started again: what
end-to-end tests and benchmarks run against. Brings up no Kafka and no Mongo, and restarts nothing by itself."""

import subprocess
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from deploy.local.environment import developer_environ
from deploy.local.leash import Leash
from deploy.local.ports import DEFAULT_PORTS, HOST, find_free_port
from deploy.local.program import environ_of
from deploy.local.server import Server
from deploy.local.servers import StackAddress
from deploy.local.table import services, steps
from libs.common.domain.api_keys import DEV_API_KEY

_SECRETS = {
    "SECRET_KEY": "only-for-tests-0123456789abcdefghijklmnop",
    "PROVIDER_CALLBACK_TOKEN": "callback-token-for-tests",
    "PROVIDER_API_KEY": "provider-key-for-tests",
}


@dataclass(frozen=True)
class Platform:
    """A running Sigmora with its simulator. `servers` by name: simulator, api, router, dispatcher."""

    servers: Mapping[str, Server]
    environ: Mapping[str, str]
    ports: Mapping[str, int]
    folder: Path

    def url(self, part: str) -> str:
        """The base URL of `api`, `router`, `dispatcher` or `simulator`."""
        variable = "SIMULATOR_EMAIL_PORT" if part == "simulator" else f"{part.upper()}_PORT"
        return f"http://{HOST}:{self.ports[variable]}"

    @property
    def api_key(self) -> str:
        """A key with every scope."""
        return DEV_API_KEY


@contextmanager
def open_platform(
    folder: Path,
    stack: StackAddress,
    settings: Mapping[str, str] | Callable[[Mapping[str, int]], Mapping[str, str]] | None = None,
) -> Iterator[Platform]:
    """Apply topics and indexes under fresh names, seed, start everything, wait until it is ready; stop it at the end.

    `settings` go over the developer's defaults for every process; they may depend on the ports.
    """
    name = uuid.uuid4().hex[:8]
    ports = {variable: find_free_port() for variable in DEFAULT_PORTS}
    environ = {
        **developer_environ(ports, _SECRETS),
        "SIMULATOR_CALLBACK_TOKEN": _SECRETS["PROVIDER_CALLBACK_TOKEN"],
        "KAFKA_BOOTSTRAP_SERVERS": stack.kafka_bootstrap_servers,
        "MONGODB_URI": stack.mongodb_uri,
        "MONGODB_DB": f"e_{name}",
        "TOPIC_PREFIX": f"e-{name}.",
        "RATE_LIMIT_PASSWORDS": "0",  # all people of a test come from one address
        **(settings(ports) if callable(settings) else settings or {}),
    }
    for step in steps(environ, seed=True):
        subprocess.run(step.argv, env=environ_of(step), check=True, capture_output=True)  # noqa: S603 - from our table
    with Leash() as leash, ExitStack() as at_end:
        servers = {}
        for program in services(environ, ports, emitter=False):
            servers[program.name] = Server(program, leash, folder / f"{program.name}.log")
            servers[program.name].start()
            at_end.callback(servers[program.name].stop)
        for server in servers.values():
            server.await_ready()
        yield Platform(servers, environ, ports, folder)
