"""`sigmora indexes apply`: creates MongoDB's indexes from the documents' own declarations."""

import typer

from libs.common.adapters.mongo.connect import create_indexes
from libs.common.cli.database import PATIENCE, in_database
from libs.common.cli.output import AsJson, show_json
from libs.common.settings import MongoSettings, read_settings

app = typer.Typer(help="Indexes of the database.", no_args_is_help=True)


@app.callback()
def indexes() -> None:
    """Indexes of the database."""


@app.command("apply")
def apply_command(as_json: AsJson = False) -> None:
    """Create the indexes that are missing; waits up to 10 s for the database; can run again and again."""
    names = in_database(create_indexes(read_settings(MongoSettings), PATIENCE))
    if as_json:
        show_json({"collections": names})
    else:
        typer.echo(f"Indexes are in place in {len(names)} collections.")
