"""Suppressed addresses in memory, held to the same contract as MongoDB's (`tests/contract/test_suppressions.py`)."""

from collections.abc import Collection, Mapping
from datetime import datetime

from libs.common.domain.channels import Channel
from libs.common.domain.errors import Unavailable
from libs.common.domain.suppressions import Reason, Suppression, address_key, reason_of


class MemorySuppressions:
    """Does what `MongoSuppressions` does; `away` makes it refuse, `reads` counts what the check asked for."""

    def __init__(self) -> None:
        self.away = False
        self.reads = 0
        self.kept: dict[str, Suppression] = {}

    async def add(
        self, tenant: str, channel: Channel, address: str, reason: str, now: datetime, delivery_id: str = ""
    ) -> None:
        """Suppress an address; one that is suppressed already keeps its first reason."""
        self._answer()
        key = address_key(tenant, channel, address)
        made = Suppression(
            id=key, tenant=tenant, channel=channel, reason=reason_of(reason), at=now, delivery_id=delivery_id
        )
        self.kept.setdefault(key, made)

    async def lift(self, tenant: str, channel: Channel, address: str) -> bool:
        """Allow an address again; False when it was not suppressed."""
        return await self.lift_key(tenant, address_key(tenant, channel, address))

    async def lift_key(self, tenant: str, key: str) -> bool:
        """The same by the suppression's id."""
        self._answer()
        if key not in self.kept or self.kept[key].tenant != tenant:
            return False
        del self.kept[key]
        return True

    async def page(self, tenant: str, limit: int, after: tuple[datetime, str] | None = None) -> list[Suppression]:
        """Up to `limit` suppressions, newest first, from below `after` on."""
        self._answer()
        own = [found for found in self.kept.values() if found.tenant == tenant]
        newest_first = sorted(own, key=_position, reverse=True)
        return [found for found in newest_first if after is None or _position(found) < after][:limit]

    async def find_many(self, keys: Collection[str]) -> Mapping[str, Reason]:
        """Why addresses are suppressed, by their keys."""
        self.reads += 1
        self._answer()
        return {key: self.kept[key].reason for key in keys if key in self.kept}

    def _answer(self) -> None:
        if self.away:
            raise Unavailable("MongoDB: away")


def _position(found: Suppression) -> tuple[datetime, str]:
    return found.at, found.id
