"""Subscribers and ordinals in memory, held to the same contract as MongoDB's (`tests/contract/test_subscribers.py`)."""

from collections import Counter
from datetime import datetime

from libs.common.domain.errors import Unavailable
from libs.common.domain.subscribers import Subscriber


class MemorySubscribers:
    """Implements `ports.SubscriberStore`; `away` makes it refuse, as a server that does not answer."""

    def __init__(self) -> None:
        self.away = False
        self._stored: dict[tuple[str, str], Subscriber] = {}
        self._pending_since: dict[tuple[str, str], datetime] = {}

    async def find(self, tenant: str, subscriber_id: str) -> Subscriber | None:
        """The subscriber, also one that is being erased."""
        self._answer()
        return self._stored.get((tenant, subscriber_id))

    async def insert(self, subscriber: Subscriber) -> bool:
        """Add a subscriber with its first change pending; False when there is one of this id."""
        self._answer()
        key = (subscriber.tenant, subscriber.subscriber_id)
        if key in self._stored:
            return False
        taken = {(found.tenant, found.ordinal) for found in self._stored.values()}
        if (subscriber.tenant, subscriber.ordinal) in taken:
            raise Unavailable("MongoDB: ordinal taken")
        self._write(subscriber)
        return True

    async def replace(self, subscriber: Subscriber) -> bool:
        """Write a subscriber over its previous version; False when that is not the one stored."""
        self._answer()
        found = self._stored.get((subscriber.tenant, subscriber.subscriber_id))
        if found is None or found.version != subscriber.version - 1:
            return False
        self._write(subscriber)
        return True

    async def published(self, subscriber: Subscriber) -> bool:
        """The log has this version; False when it is not the one stored (any more)."""
        self._answer()
        key = (subscriber.tenant, subscriber.subscriber_id)
        if key not in self._stored or self._stored[key].version != subscriber.version:
            return False
        self._pending_since.pop(key, None)
        return True

    async def put_off(self, subscriber: Subscriber, until: datetime) -> None:
        """Let this version, if it is still the one stored, be pending from `until` on and not before."""
        self._answer()
        key = (subscriber.tenant, subscriber.subscriber_id)
        if key in self._pending_since and self._stored[key].version == subscriber.version:
            self._pending_since[key] = until

    async def pending(self, before: datetime, limit: int) -> list[Subscriber]:
        """Subscribers whose last change is not known to be on the log, oldest first."""
        self._answer()
        old = sorted((since, key) for key, since in self._pending_since.items() if since < before)
        return [self._stored[key] for _, key in old[:limit]]

    async def delete_erased(self, tenant: str, subscriber_id: str) -> None:
        """Remove what is left of an erased subscriber; one that was not erased stays."""
        self._answer()
        found = self._stored.get((tenant, subscriber_id))
        if found is not None and found.erased_at is not None:
            del self._stored[tenant, subscriber_id]
            self._pending_since.pop((tenant, subscriber_id), None)

    async def page(self, tenant: str, limit: int, after: str = "") -> list[Subscriber]:
        """Up to `limit` subscribers by id, from above `after` on; erased ones are left out."""
        self._answer()
        own = (found for found in self._stored.values() if found.tenant == tenant and found.erased_at is None)
        return sorted((found for found in own if found.subscriber_id > after), key=lambda each: each.subscriber_id)[
            :limit
        ]

    async def count_active(self, tenant: str) -> int:
        """How many subscribers are active."""
        self._answer()
        return sum(found.tenant == tenant and found.active for found in self._stored.values())

    def _write(self, subscriber: Subscriber) -> None:
        key = (subscriber.tenant, subscriber.subscriber_id)
        self._stored[key] = subscriber
        self._pending_since[key] = subscriber.updated_at

    def _answer(self) -> None:
        if self.away:
            raise Unavailable("MongoDB: away")


class MemoryOrdinals:
    """Implements `ports.Ordinals`."""

    def __init__(self) -> None:
        self._next: Counter[str] = Counter()

    async def take(self, tenant: str) -> int:
        """An ordinal that nobody else gets."""
        self._next[tenant] += 1
        return self._next[tenant] - 1
