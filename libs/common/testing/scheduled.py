"""Holds in memory, held to the same contract as MongoDB's (`tests/contract/test_scheduled.py`)."""

from collections.abc import Collection, Iterable
from datetime import datetime

import msgspec

from libs.common.domain.deliveries import Lease
from libs.common.domain.errors import Unavailable
from libs.common.domain.fan_out import Claimed, Hold
from libs.common.domain.messages import DeliveryBatch
from libs.common.domain.parts import parts


class MemoryHolds:
    """Implements `HoldStore` of the router; `away` makes it refuse. Keeps encoded batches, as the database does."""

    def __init__(self) -> None:
        self.away = False
        self.batches: dict[str, tuple[datetime, bytes]] = {}
        self.addressed: set[str] = set()
        self.leases: dict[str, Lease] = {}

    async def put(self, holds: Iterable[Hold], now: datetime) -> None:
        """Keep them; one that is there already stays as it is."""
        self._check()
        for hold in holds:
            if hold.id not in self.batches:
                self.batches[hold.id] = (hold.due_at, msgspec.json.encode(hold.batch))
                self.addressed |= {hold.id} if hold.addressed else set()

    async def claim(self, lease: Lease, limit: int) -> Claimed:
        """Take up to `limit` that are due and nobody else holds, earliest first, and no more than fit into one
        append."""
        self._check()
        taken = {key for key, other in self.leases.items() if other.until > lease.now}
        free = [key for key, (due, _) in self.batches.items() if due <= lease.now and key not in taken]
        holds: list[Hold] = []
        unreadable: dict[str, bytes] = {}
        earliest = sorted(free, key=lambda key: self.batches[key][0])
        for key in next(parts(earliest, limit, lambda key: len(self.batches[key][1])), []):
            self.leases[key] = lease
            due_at, batch = self.batches[key]
            try:
                found = msgspec.json.decode(batch, type=DeliveryBatch)
                holds.append(Hold(key, due_at, found, key in self.addressed))
            except msgspec.DecodeError:
                unreadable[key] = batch
        return Claimed(tuple(holds), unreadable)

    async def give_back(self, owner: str) -> None:
        """End the lease of what this owner has claimed and not deleted."""
        self._check()
        self.leases = {key: lease for key, lease in self.leases.items() if lease.owner != owner}

    async def delete(self, hold_ids: Collection[str]) -> None:
        """Forget them."""
        self._check()
        for key in hold_ids:
            self.batches.pop(key, None)
            self.leases.pop(key, None)

    async def next_due(self) -> datetime | None:
        """When the earliest is due; None when nothing waits."""
        self._check()
        return min((due for due, _ in self.batches.values()), default=None)

    def _check(self) -> None:
        if self.away:
            raise Unavailable("MongoDB: away")
