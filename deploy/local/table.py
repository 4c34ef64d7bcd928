"""What `sigmora up` runs: one table of commands, and the order that follows from who needs whom."""

import sys
from collections.abc import Mapping
from types import MappingProxyType

from deploy.local.ports import HOST
from deploy.local.probes import http_answers
from deploy.local.program import Program, Step

SIMULATOR_PORTS = tuple(f"SIMULATOR_{part}_PORT" for part in ("EMAIL", "SMS", "PUSH", "WEBHOOK", "SMTP"))

# name -> module, variable of its port, path that answers 2xx when it is ready
SERVICES: Mapping[str, tuple[str, str, str]] = MappingProxyType(
    {
        "api": ("services.api", "API_PORT", "/readyz"),
        "router": ("services.router", "ROUTER_PORT", "/readyz"),
        "dispatcher": ("services.dispatcher", "DISPATCHER_PORT", "/readyz"),
    }
)


def steps(environ: Mapping[str, str], *, seed: bool) -> tuple[Step, ...]:
    """What is done once, before the services start."""
    table = [
        Step("topics", _cli("topics", "apply"), environ, after=("kafka",)),
        Step("indexes", _cli("indexes", "apply"), environ, after=("mongo",)),
    ]
    if seed:
        table.append(Step("seed", _cli("seed"), environ, after=("topics", "indexes")))
    return tuple(table)


def services(environ: Mapping[str, str], ports: Mapping[str, int], *, emitter: bool) -> tuple[Program, ...]:
    """The simulator, the services, and the emitter, which is there for developers only."""
    page = f"http://{HOST}:{ports['SIMULATOR_EMAIL_PORT']}/health"
    table = [Program("simulator", _module("deploy.simulator"), http_answers(page), environ)]
    for name, (module, variable, path) in SERVICES.items():
        ready = http_answers(f"http://{HOST}:{ports[variable]}{path}")
        table.append(Program(name, _module(module), ready, environ, after=("topics", "indexes")))
    if emitter:
        table.append(Program("emitter", _module("services.api.emitter"), None, environ, after=("seed", "api")))
    return tuple(table)


def _module(name: str) -> tuple[str, ...]:
    return (sys.executable, "-m", name)


def _cli(*arguments: str) -> tuple[str, ...]:
    return (*_module("libs.common.cli"), *arguments)
