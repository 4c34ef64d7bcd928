"""Feeds and progress in memory, held to the same contract as MongoDB's (`tests/contract/test_feed_pages.py`)."""

from collections import defaultdict
from datetime import datetime

from libs.common.domain.shown import FeedItem, Progress


class MemoryFeedPages:
    """Implements `ports.FeedStore`."""

    def __init__(self) -> None:
        self.items: dict[tuple[str, str], list[FeedItem]] = defaultdict(list)

    async def page(
        self, tenant: str, subscriber_id: str, limit: int, after: tuple[datetime, str] | None = None
    ) -> list[FeedItem]:
        """Up to `limit` items, newest first, from below `after` on."""
        ordered = sorted(self.items[tenant, subscriber_id], key=_position, reverse=True)
        return [item for item in ordered if after is None or _position(item) < after][:limit]

    async def delete_by_subscriber(self, tenant: str, subscriber_id: str) -> None:
        """Remove a subscriber's feed."""
        self.items.pop((tenant, subscriber_id), None)


class MemoryProgress:
    """Implements `ports.ProgressStore`."""

    def __init__(self) -> None:
        self.events: dict[tuple[str, str], Progress] = {}

    async def find(self, tenant: str, event_id: str) -> Progress | None:
        """What the router concluded for an event of this tenant."""
        return self.events.get((tenant, event_id))


def _position(item: FeedItem) -> tuple[datetime, str]:
    return item.created_at, item.id
