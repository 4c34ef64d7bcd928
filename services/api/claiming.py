"""Makes claims of concurrent requests in one write: 245 µs a claim instead of 567 under load, for at most 2 ms of
waiting. Knows nothing of events."""

import asyncio
from collections.abc import Sequence

from libs.common.domain.claims import Claim
from services.api.ports import ClaimStore

_GATHER_SECONDS = 0.002
_ENOUGH = 500
"""Claims that are worth a write without waiting for more."""


class Claims:
    """Claims, gathered. The first to come waits for others; the write is everybody's."""

    def __init__(self, store: ClaimStore) -> None:
        self._store = store
        self._gathered: list[Claim] = []
        self._write: asyncio.Task[dict[str, Claim]] | None = None

    async def make(self, claims: Sequence[Claim]) -> dict[str, Claim]:
        """Make these claims; those that were made before, by id. Raises `Unavailable`: then any may have been made, and
        making them again is right.

        Two requests with one key may meet in one write: whose claim was second is told of the first.
        """
        if len(claims) >= _ENOUGH:
            return await self._store.insert(claims)
        self._gathered.extend(claims)
        if self._write is None:
            self._write = asyncio.create_task(self._write_soon(), name="claims")
            # Every caller may have given up by the time it fails: then nobody else would look at the error.
            self._write.add_done_callback(lambda write: write.cancelled() or write.exception())
        # Shielded: one caller who gives up must not take the others' write along.
        there = await asyncio.shield(self._write)
        return {claim.id: there[claim.id] for claim in claims if claim.id in there}

    async def find(self, claim_id: str) -> Claim | None:
        """The claim of this id. Raises `Unavailable`."""
        return await self._store.find(claim_id)

    async def find_notification(self, tenant: str, notification_id: str) -> Claim | None:
        """The claim made for this direct notification. Raises `Unavailable`."""
        return await self._store.find_notification(tenant, notification_id)

    async def find_event(self, tenant: str, event_id: str) -> Claim | None:
        """A claim made for this event. Raises `Unavailable`."""
        return await self._store.find_event(tenant, event_id)

    async def _write_soon(self) -> dict[str, Claim]:
        await asyncio.sleep(_GATHER_SECONDS)
        gathered, self._gathered, self._write = self._gathered, [], None
        return await self._store.insert(gathered)
