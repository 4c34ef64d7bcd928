"""An entry of a person's in-app feed, as it is put there."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class FeedEntry:
    """One notification in one person's feed."""

    notification_id: str
    tenant: str
    subscriber_id: str
    event_id: str
    title: str = field(repr=False)
    content: str = field(repr=False)
    topic: str = ""
    priority: str = ""
    category: str = ""
    data: Any = field(default=None, repr=False)
