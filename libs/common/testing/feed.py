"""The in-app feed in memory, held to the same contract as MongoDB's (`tests/contract/test_feed.py`)."""

from collections.abc import Sequence
from datetime import datetime

from libs.common.domain.errors import Unavailable
from libs.common.domain.feed_entries import FeedEntry


class MemoryFeed:
    """Implements the in-app channel's `Feed`; `away` makes it refuse."""

    def __init__(self) -> None:
        self.away = False
        self.entries: dict[str, tuple[FeedEntry, datetime]] = {}

    async def put(self, entries: Sequence[FeedEntry], now: datetime) -> None:
        """Add the entries that are not there yet."""
        if self.away:
            raise Unavailable("MongoDB: away")
        for entry in entries:
            self.entries.setdefault(entry.notification_id, (entry, now))
