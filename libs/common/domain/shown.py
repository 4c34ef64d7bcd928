"""A person's feed and an event's progress, as they are shown. Pure data."""

from datetime import datetime
from typing import Any

import msgspec


class FeedItem(msgspec.Struct, frozen=True, kw_only=True):
    """A notification as its owner reads it."""

    id: str
    event_id: str
    title: str
    content: str
    topic: str = ""
    priority: str = ""
    category: str = ""
    data: Any = None
    created_at: datetime
    read_at: datetime | None = None


class ShownGroup(msgspec.Struct, frozen=True, kw_only=True):
    """How many subscribers an event was decided for alike."""

    outcome: str
    reason: str
    channel: str | None = None
    due_at: datetime | None = None
    count: int


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """What the router concluded for an event."""

    groups: tuple[ShownGroup, ...] = ()
    unknown_recipients: tuple[str, ...] = ()
    created_at: datetime
    fanned_out_at: datetime | None = None
