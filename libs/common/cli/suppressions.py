"""`sigmora suppressions`: addresses to which nothing is sent any more, and how to allow one again. Through the public
API, as an operator."""

from typing import Annotated, Any
from urllib.parse import quote

import httpx
import typer

from libs.common.cli.calling import call_api
from libs.common.cli.output import AsJson, show_json, show_table

app = typer.Typer(help="Addresses that bounced or complained.", no_args_is_help=True)
_MISSING = "There is no such suppression."
_COLUMNS = ("id", "channel", "reason", "at", "delivery_id")


@app.callback()
def suppressions() -> None:
    """Addresses that bounced or complained."""


@app.command("list")
def list_command(
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="At most so many, the newest first.")] = 100,
    as_json: AsJson = False,
) -> None:
    """List them. Addresses are kept as hashes and cannot be shown."""
    items: list[dict[str, Any]] = []
    cursor: str | None = None
    while len(items) < limit:
        params = {"limit": min(100, limit - len(items))} | ({"cursor": cursor} if cursor else {})
        page = call_api("GET", "/v1/suppressions", httpx.codes.OK, params=params)
        items += page["items"]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    if as_json:
        show_json({"items": items})
    else:
        show_table("Suppressed addresses", items, _COLUMNS)


@app.command("lift")
def lift_command(
    what: Annotated[str, typer.Argument(help="The id of a suppression, or the address itself with --channel.")],
    channel: Annotated[str, typer.Option(help="EMAIL or SMS: WHAT is an address.")] = "",
    as_json: AsJson = False,
) -> None:
    """Allow an address again."""
    if channel:
        address = {"channel": channel.upper(), "address": what}
        call_api("POST", "/v1/suppressions/lift", httpx.codes.NO_CONTENT, missing=_MISSING, json=address)
    else:
        place = f"/v1/suppressions/{quote(what, safe='')}"
        call_api("DELETE", place, httpx.codes.NO_CONTENT, missing=_MISSING)
    if as_json:
        show_json({"lifted": True})
    else:
        typer.echo("Lifted: the address may be written to again.")
