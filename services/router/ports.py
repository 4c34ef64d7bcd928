"""What the router needs from outside, as narrow ports; `app.py` fills them in."""

from collections.abc import AsyncIterator, Callable, Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Protocol

from libs.common.domain.audience import Audience
from libs.common.domain.deliveries import Lease
from libs.common.domain.fan_out import Claimed, Hold
from libs.common.domain.messages import Event, SubscriberChanged
from libs.common.ports import Headers, Received

Accept = Callable[[bytes | None, Headers, str, datetime], Event]
"""Makes the event of a record that `tenant` produced itself; raises `InvalidInput`."""


class AudienceStore(Protocol):
    """Where the choice for every event is kept. Every call raises `Unavailable` when the answer is unknown; calling
    again is then right."""

    async def recall(self, event_ids: Collection[str]) -> dict[str, Audience]:
        """Those on record, by event id."""
        ...

    async def record(self, audiences: Sequence[Audience]) -> set[str]:
        """Put audiences on record; the ids of events that had one already, which stands."""
        ...

    async def mark_fanned_out(self, event_ids: Collection[str], now: datetime) -> None:
        """Note that everything that follows from these audiences has been written."""
        ...


class HoldStore(Protocol):
    """Where deliveries wait for their time. Every call raises `Unavailable` when the answer is unknown."""

    async def put(self, holds: Iterable[Hold], now: datetime) -> None:
        """Keep them, drawn part by part; one that is there already stays as it is."""
        ...

    async def claim(self, lease: Lease, limit: int) -> Claimed:
        """Take up to `limit` that are due and nobody else holds, earliest first, and no more than fit into one append;
        nobody else gets them until the lease ends."""
        ...

    async def give_back(self, owner: str) -> None:
        """End the lease of what this owner has claimed and not deleted: anybody may claim it now."""
        ...

    async def delete(self, hold_ids: Collection[str]) -> None:
        """Forget them."""
        ...

    async def next_due(self) -> datetime | None:
        """When the earliest is due; None when nothing waits."""
        ...


class SubscriberSource(Protocol):
    """The truth about subscribers, as far as the index needs it. Every call raises `Unavailable`."""

    def scan(self) -> AsyncIterator[list[SubscriberChanged]]:
        """All subscribers of all tenants, in batches, but for those that are being erased."""
        ...

    async def find(self, tenant: str, subscriber_ids: Collection[str]) -> list[SubscriberChanged]:
        """Those of the ids that exist."""
        ...

    async def ids_of(self, tenant: str, ordinals: Collection[int]) -> dict[int, str]:
        """The ids behind ordinals; erased ones are left out."""
        ...


class Changes(Protocol):
    """The changes of subscribers, as they come in."""

    async def ends(self) -> dict[int, int]:
        """For each partition the offset that its next record will have. Raises `Unavailable`."""
        ...

    def since(self, positions: Mapping[int, int]) -> AsyncIterator[list[Received]]:
        """Every record from these offsets on, without end; an empty list whenever it has been confirmed that all has
        been read that was there a few seconds ago.

        Raises `Stale` when they cannot be followed any more: read everything anew.
        """
        ...
