"""`sigmora up`: everything on this machine, from a checkout."""

from importlib.util import find_spec
from typing import Annotated

import typer

from libs.common.cli.output import fail


def up(
    no_emitter: Annotated[bool, typer.Option("--no-emitter", help="Without the random event every minute.")] = False,
) -> None:
    """Start Kafka, MongoDB, the services and the provider simulator here; Ctrl-C stops them all."""
    if find_spec("deploy") is None:
        fail("`sigmora up` works in a checkout of Sigmora only; elsewhere use the container image.", 2)
    # here and not above: deploy/ is no part of the installed package, and every other command must work without it
    from deploy.local.up import run_everything

    raise typer.Exit(run_everything(emitter=not no_emitter))
