"""The commands of `sigmora`, in one table. Each prints a table for people, or JSON on stdout with `--json`."""

import sys

import structlog
import typer

from libs.common.cli import api_keys, doctor, emit, indexes, match, seed, suppressions, topics, up

app = typer.Typer(
    name="sigmora",
    help="Run, inspect and test Sigmora.",
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,
    add_completion=False,
)
app.command()(up.up)
app.command()(doctor.doctor)
app.command()(emit.emit)
app.command()(match.match)
app.command()(seed.seed)
app.add_typer(topics.app, name="topics")
app.add_typer(indexes.app, name="indexes")
app.add_typer(api_keys.app, name="api-keys")
app.add_typer(suppressions.app, name="suppressions")


def main() -> None:
    """Entry point of the `sigmora` script. What adapters log goes to stderr: stdout is for results."""
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    app()
