"""Addresses that must not be written to any more, for operators. They are kept as hashes: shown are why and since when,
and whoever knows an address can have it allowed again."""

from datetime import datetime
from typing import Annotated

import msgspec
from litestar import Controller, delete, get, post
from litestar.params import FromPath, JSONBody, QueryParameter
from pydantic import Field

from libs.common.domain.api_keys import Scope
from libs.common.domain.channels import Channel
from libs.common.domain.errors import Flaw, InvalidInput
from libs.common.domain.people import parse_email, parse_phone
from libs.common.domain.suppressions import SUPPRESSIBLE, Suppression
from services.api.errors import NotFound
from services.api.given import GivenSuppressions
from services.api.paging import make_cursor, read_cursor
from services.api.schemas.fields import Body
from services.api.security.access import ServiceRequest, require_scope

Limit = Annotated[int, QueryParameter(ge=1, le=100, description="Items on a page.")]
Cursor = Annotated[str | None, QueryParameter(description="`next_cursor` of the page before.")]
_PARSERS = {Channel.EMAIL: parse_email, Channel.SMS: parse_phone}


class Address(Body):
    """An address on a channel."""

    channel: Channel
    address: str = Field(max_length=400, examples=["test@example.com"])

    def canonical(self) -> str:
        """The address as it was suppressed. Raises InvalidInput."""
        if self.channel not in SUPPRESSIBLE:
            raise InvalidInput(Flaw("channel", f"must be one of {', '.join(sorted(SUPPRESSIBLE))}"))
        try:
            return _PARSERS[self.channel](self.address)
        except ValueError as error:
            raise InvalidInput(Flaw("address", str(error))) from None


class ShownSuppression(msgspec.Struct, frozen=True):
    """A suppressed address, which is not shown."""

    id: str
    channel: Channel
    reason: str
    at: datetime
    delivery_id: str

    @classmethod
    def of(cls, found: Suppression) -> "ShownSuppression":
        """What is shown of one."""
        return cls(found.id, found.channel, found.reason, found.at, found.delivery_id)


class SuppressionPage(msgspec.Struct, frozen=True):
    """A page of suppressions, newest first. `next_cursor` null: it was the last."""

    items: list[ShownSuppression]
    next_cursor: str | None


class SuppressionsController(Controller):
    """See why nothing is sent to an address, and allow it again."""

    path = "/v1/suppressions"
    tags = ("operations",)
    guards = (require_scope(Scope.OPERATIONS),)
    security = ({"api_key": []},)

    @get("/", summary="Suppressed addresses")
    async def page(
        self, request: ServiceRequest, suppressions: GivenSuppressions, limit: Limit = 20, cursor: Cursor = None
    ) -> SuppressionPage:
        """Newest first."""
        after = read_cursor(cursor) if cursor is not None else None
        found = await suppressions.page(request.user.tenant, limit + 1, after)
        items = [ShownSuppression.of(each) for each in found[:limit]]
        return SuppressionPage(items, make_cursor((items[-1].at, items[-1].id)) if len(found) > limit else None)

    @delete("/{key:str}", summary="Allow an address again")
    async def lift(self, request: ServiceRequest, key: FromPath[str], suppressions: GivenSuppressions) -> None:
        """By the suppression's id."""
        if not await suppressions.lift_key(request.user.tenant, key):
            raise NotFound

    @post("/lift", status_code=204, summary="Allow an address again, by the address")
    async def lift_address(
        self, request: ServiceRequest, data: JSONBody[Address], suppressions: GivenSuppressions
    ) -> None:
        """In the body, since addresses do not belong into paths, which are logged."""
        if not await suppressions.lift(request.user.tenant, data.channel, data.canonical()):
            raise NotFound
