"""`sigmora api-keys`: makes the credentials of services, shows which there are, and ends them. In the database, since
the first key of an installation cannot come through an API that asks for one."""

from collections.abc import Awaitable, Callable
from typing import Annotated, TypeVar

import typer

from libs.common.adapters.mongo.api_keys import MongoApiKeys
from libs.common.adapters.mongo.connect import open_database
from libs.common.cli.database import PATIENCE, in_database
from libs.common.cli.output import AsJson, fail, show_json, show_table
from libs.common.cli.tenants import OneTenant
from libs.common.clock import utc_now
from libs.common.domain.api_keys import ApiKey, Scope
from libs.common.settings import MongoSettings, read_settings

T = TypeVar("T")

app = typer.Typer(help="Credentials of services: make, list and revoke them.", no_args_is_help=True)
_COLUMNS = ("key_id", "name", "scopes", "created_at", "revoked_at")


@app.command("create")
def create_command(
    tenant: OneTenant,
    name: Annotated[str, typer.Option(help="Who uses it, for whoever reads the list.")],
    scope: Annotated[list[Scope], typer.Option(help="What it may be used for. May be repeated.")],
    as_json: AsJson = False,
) -> None:
    """Make a key and print it: this is the only time that it can be read."""
    scopes = list(dict.fromkeys(scope))
    key = _ask(lambda keys: keys.create(tenant, name, scopes, utc_now()))
    if as_json:
        show_json({"api_key": key, "tenant": tenant, "name": name, "scopes": scopes})
    else:
        typer.echo(f"{key}\nKeep it: it is stored as a hash, and cannot be shown again.")


@app.command("list")
def list_command(tenant: OneTenant, as_json: AsJson = False) -> None:
    """Show a tenant's keys, the newest first; never their secrets."""
    keys = _ask(lambda keys: keys.find_all(tenant))
    if as_json:
        show_json({"items": [{column: getattr(key, column) for column in _COLUMNS} for key in keys]})
    else:
        show_table(f"API keys of {tenant}", [_row(key) for key in keys], _COLUMNS)


def _row(key: ApiKey) -> dict[str, str]:
    return {
        "key_id": key.key_id,
        "name": key.name,
        "scopes": ", ".join(key.scopes),
        "created_at": key.created_at.isoformat(timespec="seconds"),
        "revoked_at": key.revoked_at.isoformat(timespec="seconds") if key.revoked_at else "",
    }


@app.command("revoke")
def revoke_command(
    tenant: OneTenant,
    key_id: Annotated[str, typer.Argument(help="The part of the key between `sk_` and its secret.")],
    as_json: AsJson = False,
) -> None:
    """End a key. It is refused everywhere within CREDENTIAL_CACHE (5 s)."""
    if not _ask(lambda keys: keys.revoke(tenant, key_id, utc_now())):
        fail(f"{tenant} has no key {key_id!r} in force", 1)
    if as_json:
        show_json({"revoked": key_id})
    else:
        typer.echo(f"Revoked: {key_id}.")


def _ask(call: Callable[[MongoApiKeys], Awaitable[T]]) -> T:
    async def ask() -> T:
        async with open_database(read_settings(MongoSettings), patience=PATIENCE):
            return await call(MongoApiKeys())

    return in_database(ask())
