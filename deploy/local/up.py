"""`sigmora up`: the whole of Sigmora on one machine. Finds the parts, fills in the settings, hands the table over."""

import asyncio
import json
import logging
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from typing import TextIO

from deploy.local import places, table
from deploy.local.environment import developer_environ, read_or_make_secrets, with_user_settings
from deploy.local.errors import StackError
from deploy.local.locks import try_to_hold
from deploy.local.logs import Terminal
from deploy.local.parts import Parts, find_parts, server_ports
from deploy.local.ports import HOST, read_ports, require_free
from deploy.local.program import Program, Step
from deploy.local.source import KAFKA_VARIABLE, MONGO_VARIABLE, Source
from deploy.local.supervisor import READY_SECONDS, Supervisor

PULL_SECONDS = 900.0  # the first start with Docker pulls images of 1 GB


def run_everything(*, emitter: bool = True, output: TextIO = sys.stdout) -> int:
    """Run until Ctrl-C or SIGTERM; the exit code. What stops it from coming up is one line on the standard error."""
    lock = None
    try:
        lock = try_to_hold(places.SUPERVISOR_LOCK)
        if lock is None:
            raise StackError("Sigmora is already running from this folder: stop it first (Ctrl-C where it runs).")
        ports = read_ports(os.environ)
        services = [port for _, port, _ in table.SERVICES.values()]
        # all at once: a server's port may be that of a service
        require_free(ports, [*server_ports(os.environ), *services, *table.SIMULATOR_PORTS])
        first = "" if places.STACK.exists() else " The first time it fetches its servers: half a minute."
        terminal = Terminal(output)
        terminal.say(f"Sigmora is starting.{first}\n")
        parts = find_parts(os.environ, ports)
        environ = _environ(parts, ports)
        entries = entries_of(parts, environ, ports, emitter=emitter)
        patience = PULL_SECONDS if Source.DOCKER in parts.sources.values() else READY_SECONDS
        asyncio.run(supervise(entries, banner(parts, environ), terminal, patience))
    except StackError as problem:
        sys.stderr.write(f"sigmora: {problem}\n")
        return 1
    finally:
        if lock is not None:
            os.close(lock)
    return 0


def entries_of(
    parts: Parts, environ: Mapping[str, str], ports: Mapping[str, int], *, emitter: bool
) -> tuple[Program | Step, ...]:
    """The table of this run. Only a development environment is seeded, and only there the emitter runs."""
    dev = environ["ENV"] == "dev"
    return (
        *parts.programs,
        *table.steps(environ, seed=dev),
        *table.services(environ, ports, emitter=dev and emitter),
    )


async def supervise(entries: Sequence[Program | Step], ready_text: str, terminal: Terminal, patience: float) -> None:
    """Run the table until a signal, or until nobody reads; print the text when all of it is ready."""
    logging.getLogger("asyncio").setLevel(logging.ERROR)
    supervisor = Supervisor(entries, places.RUN, terminal, ready_seconds=patience)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, supervisor.stop)

    await supervisor.run(lambda: terminal.say(ready_text))


def banner(parts: Parts, environ: Mapping[str, str]) -> str:
    """What a person needs first: where everything is and, where the seeder made them, a key that works and a call."""
    api, key = environ["SIGMORA_API_URL"], environ["SIGMORA_API_KEY"]
    simulator = f"http://{HOST}:{environ['SIMULATOR_EMAIL_PORT']}/"
    # to the seeded person, by the seeded template: an event would reach nobody before somebody has subscribed
    call = {"user_id": "user_001", "template_id": "tpl_001", "channels": ["EMAIL"], "variables": {"name": "Ada"}}
    shown_key, first_call = "", ""
    if environ["ENV"] == "dev":
        shown_key = f"  API key         {key}\n"
        first_call = f"""
A first call, which sends an e-mail:

  curl -s {api}/notifications -H 'Authorization: Bearer {key}' \\
    -H 'Content-Type: application/json' -d \\
    '{json.dumps(call)}'
"""
    return f"""
Sigmora is ready. Ctrl-C stops everything; what it stored stays (`make clean-data` forgets it).

  API             {api}
  documentation   {api}/docs
  what was sent   {simulator}  (the provider simulator)
{shown_key}  Kafka           {environ[KAFKA_VARIABLE]}  ({parts.sources[KAFKA_VARIABLE]})
  MongoDB         {parts.sources[MONGO_VARIABLE]}, database {environ.get("MONGODB_DB") or "sigmora"}
  logs            {os.path.relpath(places.LOGS, places.CHECKOUT)}/
{first_call}
"""


def _environ(parts: Parts, ports: Mapping[str, int]) -> dict[str, str]:
    defaults = developer_environ(ports, read_or_make_secrets(places.RUN / "secrets.json"))
    return {**with_user_settings(defaults, os.environ), **parts.addresses}
