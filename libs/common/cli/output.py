"""How commands speak: a table for people, one JSON document on stdout for programs, one line on stderr for faults."""

import sys
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, NoReturn

import msgspec
import typer
from rich.console import Console
from rich.table import Table

_IN_A_FILE = 160
"""Characters; a terminal has its own width, and 80 break the names of topics."""

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]


def show_json(value: Any) -> None:
    """One JSON document, on one line."""
    typer.echo(msgspec.json.encode(value).decode())


def show_table(title: str, rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> None:
    """A table of `rows`; a value that a row lacks stays empty."""
    table = Table(title=title, title_justify="left", header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(str(row.get(column, "")) for column in columns))
    Console(width=None if sys.stdout.isatty() else _IN_A_FILE).print(table)


def fail(message: str, code: int = 1) -> NoReturn:
    """Say what is wrong on stderr and end with `code` (2: the input is at fault)."""
    typer.echo(message, err=True)
    raise typer.Exit(code)
