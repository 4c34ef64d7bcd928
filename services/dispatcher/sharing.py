"""What the lines of one process ask of the database at the same moment goes as one: an event by e-mail and to the feed
is two lines that claim, look up the same person and settle within milliseconds. Decides nothing about deliveries."""

from collections.abc import Collection, Mapping, Sequence

from libs.common.domain.consent import Recipient
from libs.common.domain.deliveries import KnownDelivery, Lease, Settlement, Take, Work
from libs.common.gathering import Gathering
from services.dispatcher.ports import DeliveryStore, RecipientStore

_Person = tuple[str, str]
"""Tenant and subscriber id."""
_ENOUGH = 64
"""Deliveries that go alone: with more in one write, the wait for it grows as fast as what it saves."""


class SharedDeliveries:
    """A `DeliveryStore` that many lines share."""

    def __init__(self, store: DeliveryStore) -> None:
        self._store = store
        self._inserts = Gathering(store.insert, _ENOUGH)
        self._settles = Gathering(self._settle, _ENOUGH)

    async def insert(self, claims: Sequence[tuple[Work, Lease]]) -> set[str]:
        """As the store's; ids of others may be among those that were there."""
        return await self._inserts.ask(claims)

    async def find(self, delivery_ids: Collection[str]) -> dict[str, KnownDelivery]:
        """As the store's."""
        return await self._store.find(delivery_ids)

    async def take(self, takes: Sequence[Take], lease: Lease) -> set[str]:
        """As the store's."""
        return await self._store.take(takes, lease)

    async def settle(self, settlements: Sequence[Settlement]) -> int:
        """As the store's; at least so many took effect, where some that went along did not."""
        return max(0, len(settlements) - await self._settles.ask(settlements)) if settlements else 0

    async def endpoints(self, works: Sequence[Work]) -> set[tuple[str, str, int]]:
        """As the store's."""
        return await self._store.endpoints(works)

    async def _settle(self, settlements: Sequence[Settlement]) -> int:
        """How many took no effect."""
        return len(settlements) - await self._store.settle(settlements)


class SharedRecipients:
    """A `RecipientStore` that many lines share."""

    def __init__(self, store: RecipientStore) -> None:
        self._finds: Gathering[_Person, Mapping[_Person, Recipient]] = Gathering(
            lambda people: store.find(set(people)), _ENOUGH
        )

    async def find(self, subscribers: Collection[_Person]) -> Mapping[_Person, Recipient]:
        """As the store's; others may be among them."""
        return await self._finds.ask(list(subscribers))
