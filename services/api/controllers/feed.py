"""A person's notifications, page by page."""

from typing import Annotated

from litestar import Controller, get
from litestar.params import QueryParameter

from services.api.given import GivenFeed
from services.api.schemas.people import FeedPage
from services.api.security.access import PersonRequest, require_person

Limit = Annotated[int, QueryParameter(ge=1, le=100, description="Items on a page.")]
Cursor = Annotated[str | None, QueryParameter(description="`next_cursor` of the page before.")]


class FeedController(Controller):
    """The caller's notifications, and nobody else's."""

    @get(
        "/notifications",
        tags=["people"],
        guards=(require_person,),
        security=[{"token": []}],
        summary="My notifications",
    )
    async def notifications(
        self,
        request: PersonRequest,
        feed: GivenFeed,
        limit: Limit = 20,
        cursor: Cursor = None,
    ) -> FeedPage:
        """Newest first; each once, also when new ones arrive between two pages."""
        return await feed.page(request.user, limit, cursor)
