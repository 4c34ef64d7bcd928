"""Subscribers in memory, as the router's index asks for them; held to the same contract as MongoDB's
(`tests/contract/test_wishes.py`)."""

from collections.abc import AsyncIterator, Collection

from libs.common.domain.errors import Unavailable
from libs.common.domain.messages import SubscriberChanged


class MemoryWishes:
    """Implements `SubscriberSource` of the router; `away` makes it refuse, `erasing` names those whose document is
    yet to go."""

    def __init__(self, *subscribers: SubscriberChanged) -> None:
        self.away = False
        self.refusals = 0
        """How often it refused."""
        self.erasing: set[tuple[str, str]] = set()
        self.subscribers = {(one.tenant, one.subscriber_id): one for one in subscribers}

    def put(self, changed: SubscriberChanged) -> None:
        """Write the truth."""
        self.subscribers[changed.tenant, changed.subscriber_id] = changed

    async def scan(self) -> AsyncIterator[list[SubscriberChanged]]:
        """All subscribers of all tenants, in batches, but for those that are being erased."""
        self._check()
        for key, changed in list(self.subscribers.items()):
            if key not in self.erasing:
                yield [changed]

    async def find(self, tenant: str, subscriber_ids: Collection[str]) -> list[SubscriberChanged]:
        """Those of the ids that exist."""
        self._check()
        return [self.subscribers[tenant, one] for one in subscriber_ids if (tenant, one) in self.subscribers]

    async def ids_of(self, tenant: str, ordinals: Collection[int]) -> dict[int, str]:
        """The ids behind ordinals; erased ones are left out."""
        self._check()
        return {
            one.ordinal: one.subscriber_id
            for key, one in self.subscribers.items()
            if one.tenant == tenant and one.ordinal in ordinals and key not in self.erasing
        }

    def _check(self) -> None:
        if self.away:
            self.refusals += 1
            raise Unavailable("MongoDB: away")
