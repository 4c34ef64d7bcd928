"""Deliveries as the API has them, in memory, held to the same contract as MongoDB's
(`tests/contract/test_notifications.py`)."""

from collections.abc import Collection
from datetime import datetime

import msgspec

from libs.common.domain.channels import Channel
from libs.common.domain.errors import Unavailable
from libs.common.domain.notifications import Decided, Held, KeptDelivery
from libs.common.domain.states import State


class MemoryNotifications:
    """Implements `ports.NotificationStore`; `away` makes it refuse. `feed` holds when each entry was read, `holds`
    what waits."""

    def __init__(self) -> None:
        self.away = False
        self.kept: dict[str, KeptDelivery] = {}
        self.decisions: dict[tuple[str, str], dict[int, list[Decided]]] = {}
        self.feed: dict[tuple[str, str], datetime | None] = {}
        self.holds: set[Held] = set()

    async def deliveries(self, notification_id: str, tenant: str | None = None) -> list[KeptDelivery]:
        """The deliveries of a notification; of any tenant's when none is named."""
        self._answer()
        return [
            found
            for found in self.kept.values()
            if found.notification_id == notification_id and tenant in (None, found.tenant)
        ]

    async def delivery(self, tenant: str, delivery_id: str) -> KeptDelivery | None:
        """One delivery of a tenant."""
        self._answer()
        found = self.kept.get(delivery_id)
        return found if found is not None and found.tenant == tenant else None

    async def move(
        self, delivery_id: str, state: State, sources: Collection[State], now: datetime, reason: str, detail: str
    ) -> KeptDelivery | None:
        """Bring a delivery that is in one of `sources` to `state`; as it is then, or None when it was in none."""
        self._answer()
        found = self.kept.get(delivery_id)
        if found is None or found.state not in sources:
            return None
        moved = msgspec.structs.replace(
            found, state=state, reason=reason, detail=detail or found.detail, due_at=None, updated_at=now
        )
        self.kept[delivery_id] = moved
        return moved

    async def insert(self, delivery: KeptDelivery) -> bool:
        """Put a delivery there that nobody has claimed; False when it is there already."""
        self._answer()
        return self.kept.setdefault(delivery.id, delivery) is delivery

    async def decided(self, tenant: str, event_id: str, ordinal: int) -> list[Decided] | None:
        """What the router concluded for one subscriber; None when it has not come to the event yet."""
        self._answer()
        found = self.decisions.get((tenant, event_id))
        return None if found is None else found.get(ordinal, [])

    async def held(self, tenant: str, notification_id: str) -> list[Held]:
        """What of a notification waits for its time, on each channel."""
        self._answer()
        return [each for each in self.holds if (each.tenant, each.notification_id) == (tenant, notification_id)]

    async def mark_read(self, tenant: str, notification_id: str, now: datetime) -> bool:
        """Note in the feed when it was first read; whether it is in a feed."""
        self._answer()
        if (tenant, notification_id) not in self.feed:
            return False
        self.feed[tenant, notification_id] = self.feed[tenant, notification_id] or now
        return True

    async def forget_holds(self, tenant: str, event_id: str, channels: Collection[Channel]) -> None:
        """Remove what waits for its time on these channels."""
        self._answer()
        self.holds = {
            each
            for each in self.holds
            if (each.tenant, each.event_id) != (tenant, event_id) or each.channel not in channels
        }

    def _answer(self) -> None:
        if self.away:
            raise Unavailable("MongoDB: away")
