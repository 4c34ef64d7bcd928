"""Claims in memory, held to the same contract as MongoDB's (`tests/contract/test_claims.py`)."""

from collections.abc import Sequence

from libs.common.domain.claims import RequestClaim
from libs.common.domain.errors import Unavailable


class MemoryClaims:
    """Implements `ports.ClaimStore`; `away` makes it refuse; `inserts` counts the round trips."""

    def __init__(self) -> None:
        self.away = False
        self.inserts = 0
        self._stored: dict[str, RequestClaim] = {}

    async def insert(self, claims: Sequence[RequestClaim]) -> dict[str, RequestClaim]:
        """Make all claims that are not made yet; those that were there before, by id."""
        if self.away:
            raise Unavailable("MongoDB: away")
        self.inserts += 1
        there = {}
        for claim in claims:
            if self._stored.setdefault(claim.id, claim) is not claim:
                there[claim.id] = self._stored[claim.id]
        return there

    async def find(self, claim_id: str) -> RequestClaim | None:
        """The claim of this id."""
        if self.away:
            raise Unavailable("MongoDB: away")
        return self._stored.get(claim_id)

    async def find_notification(self, tenant: str, notification_id: str) -> RequestClaim | None:
        """The claim made for this direct notification."""
        if self.away:
            raise Unavailable("MongoDB: away")
        wanted = (tenant, notification_id)
        return next((found for found in self._stored.values() if (found.tenant, found.notification_id) == wanted), None)

    async def find_event(self, tenant: str, event_id: str) -> RequestClaim | None:
        """A claim made for this event."""
        if self.away:
            raise Unavailable("MongoDB: away")
        wanted = (tenant, event_id)
        return next((found for found in self._stored.values() if (found.tenant, found.event_id) == wanted), None)
