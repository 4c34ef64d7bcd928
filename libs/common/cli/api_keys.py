"""`sigmora api-keys`: makes the credentials of services, shows which there are, and ends them. In the database, since
the first key of an installation cannot come through an API that asks for one."""

from typing import Annotated

import typer

from libs.common.adapters.mongo.api_keys import MongoApiKeys
from libs.common.adapters.mongo.connect import open_database
from libs.common.cli.database import PATIENCE, in_database
from libs.common.cli.output import AsJson, fail, show_json, show_table
from libs.common.cli.tenants import OneTenant
from libs.common.clock import utc_now
from libs.common.domain.api_keys import ApiKey, Scope
from libs.common.settings import MongoSettings, read_settings

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

    async def create() -> str:
        async with open_database(read_settings(MongoSettings), patience=PATIENCE):
            return await MongoApiKeys().create(tenant, name, dict.fromkeys(scope), utc_now())

    key = in_database(create())
    if as_json:
        show_json({"api_key": key, "tenant": tenant, "name": name, "scopes": list(dict.fromkeys(scope))})
    else:
        typer.echo(f"{key}\nKeep it: it is stored as a hash, and cannot be shown again.")


@app.command("list")
def list_command(tenant: OneTenant, as_json: AsJson = False) -> None:
    """Show a tenant's keys, the newest first; never their secrets."""

    async def find() -> list[ApiKey]:
        async with open_database(read_settings(MongoSettings), patience=PATIENCE):
            return await MongoApiKeys().find_all(tenant)

    keys = in_database(find())
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

    async def revoke() -> bool:
        async with open_database(read_settings(MongoSettings), patience=PATIENCE):
            return await MongoApiKeys().revoke(tenant, key_id, utc_now())

    if not in_database(revoke()):
        fail(f"{tenant} has no key {key_id!r} in force", 1)
    if as_json:
        show_json({"revoked": key_id})
    else:
        typer.echo(f"Revoked: {key_id}.")
