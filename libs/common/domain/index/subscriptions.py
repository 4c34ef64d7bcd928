"""The index over all tenants, who never see each other."""

from collections.abc import Iterable

from pyroaring import BitMap

from libs.common.domain.index.model import Counts, Gathered, IndexedSubscriber, Profile
from libs.common.domain.index.tenant import TenantIndex
from libs.common.domain.pattern import Fields


class SubscriptionIndex:
    """All subscribers and their filters, in memory. Not to be changed by one thread while another reads.

    Changes may come in any order and any number of times: of one subscriber the newest version stands. An index is
    built aside and swapped in whole, or kept live by `put` and `remove`; both are the same calls.
    """

    def __init__(self) -> None:
        self._tenants: dict[str, TenantIndex] = {}

    def put(self, tenant: str, subscriber: IndexedSubscriber) -> bool:
        """Take a version of a subscriber; False, and no change, when it is not newer than the one known.

        Raises ValueError when the ordinal belongs to another subscriber of the tenant, which no reordering explains.
        """
        return self._tenant(tenant).put(subscriber)

    def remove(self, tenant: str, subscriber_id: str, version: int | None = None) -> bool:
        """Drop a subscriber; False when there is none, or a newer one.

        A version given is remembered, so that no put that is late, of this version or an older one, revives it.
        """
        return self._tenant(tenant).remove(subscriber_id, version)

    def match(self, tenant: str, fields: Fields) -> list[tuple[Profile, BitMap]]:
        """The ordinals of active subscribers who want the event, by profile.

        A subscriber whose subscriptions differ in profile may stand under several. The bitmaps are the caller's.
        """
        return self.verify(tenant, self.gather(tenant, fields))

    def gather(self, tenant: str, fields: Fields) -> Gathered:
        """The first half of `match`, which is always quick; it tells what the second will cost."""
        index = self._tenants.get(tenant)
        return index.slots.gather(fields) if index is not None else Gathered(fields, BitMap(), BitMap())

    def verify(self, tenant: str, gathered: Gathered) -> list[tuple[Profile, BitMap]]:
        """The second half of `match`. The index must not have changed since the first, nor change meanwhile; then a
        thread of its own may do this."""
        index = self._tenants.get(tenant)
        return index.slots.verify(gathered) if index is not None else []

    def subscriber(self, tenant: str, subscriber_id: str) -> IndexedSubscriber | None:
        """The version known of a subscriber, active or not."""
        index = self._tenants.get(tenant)
        return index.subscribers.get(subscriber_id) if index is not None else None

    def subscriber_ids(self, tenant: str, ordinals: Iterable[int]) -> list[str]:
        """The ids behind the ordinals, in their order; those of `missing_ordinals` are left out."""
        ids = self._ids(tenant)
        return [found for ordinal in ordinals if (found := ids.get(ordinal)) is not None]

    def missing_ordinals(self, tenant: str, ordinals: Iterable[int]) -> list[int]:
        """The ordinals behind which there is nobody (any more)."""
        ids = self._ids(tenant)
        return [ordinal for ordinal in ordinals if ordinal not in ids]

    def counts(self) -> Counts:
        """The size of the index. Costs nothing per subscriber."""
        tenants = self._tenants.values()
        return Counts(
            subscribers=sum(len(index.subscribers) for index in tenants),
            subscriptions=sum(index.subscriptions for index in tenants),
            filters=sum(len(index.slots) for index in tenants),
        )

    def _ids(self, tenant: str) -> dict[int, str]:
        index = self._tenants.get(tenant)
        return index.ids if index is not None else {}

    def _tenant(self, tenant: str) -> TenantIndex:
        index = self._tenants.get(tenant)
        if index is None:
            index = self._tenants[tenant] = TenantIndex()
        return index
