"""A person's feed in pages that neither repeat nor leave out anything while new items arrive."""

from services.api.paging import make_cursor, read_cursor
from services.api.ports import FeedStore
from services.api.schemas.people import FeedPage
from services.api.security.access import Person


class Feed:
    """Pages of feeds."""

    def __init__(self, store: FeedStore) -> None:
        self._store = store

    async def page(self, person: Person, limit: int, cursor: str | None) -> FeedPage:
        """Up to `limit` items after `cursor`, newest first. Raises InvalidInput for a cursor that is none,
        `Unavailable`."""
        after = read_cursor(cursor) if cursor is not None else None
        # One more than asked for tells whether there is another page.
        items = await self._store.page(person.tenant, person.subscriber_id, limit + 1, after)
        page = items[:limit]
        more = len(items) > limit
        return FeedPage(page, make_cursor((page[-1].created_at, page[-1].id)) if more else None)
