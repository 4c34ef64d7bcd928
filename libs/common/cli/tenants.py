"""How commands are told of which tenant they speak."""

from typing import Annotated

import typer

from libs.common.domain.tenants import check_tenant


def _checked(name: str) -> str:
    try:
        return check_tenant(name)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


def _all_checked(names: list[str] | None) -> list[str]:
    return [_checked(name) for name in names or ()]


OneTenant = Annotated[str, typer.Option("--tenant", metavar="TENANT", help="Whose.", callback=_checked)]
_HELP = "Also the topic <prefix>ingest.<tenant>, into which that tenant's services produce. May be repeated."
IngestTenants = Annotated[
    list[str] | None, typer.Option("--tenant", metavar="TENANT", help=_HELP, callback=_all_checked)
]
