"""How far an event came, from what the router recorded, or from the claim while it has not come to it."""

import asyncio
from datetime import datetime

import msgspec

from libs.common.domain.shown import ShownGroup
from services.api.claiming import Claims
from services.api.ports import ProgressStore


class ShownProgress(msgspec.Struct, frozen=True, kw_only=True):
    """`counts` has one entry for each outcome, reason and channel; it is empty while the event is only accepted.
    `accepted_at` is empty for an event that did not come through the API."""

    id: str
    status: str
    accepted_at: datetime | None = None
    recorded_at: datetime | None = None
    fanned_out_at: datetime | None = None
    counts: list[ShownGroup] = []
    unknown_recipients: list[str] = []


class EventProgress:
    """Reads progress. Before the router has seen an event, only the claim knows of it."""

    def __init__(self, store: ProgressStore, claims: Claims) -> None:
        self._store = store
        self._claims = claims

    async def find(self, tenant: str, event_id: str) -> ShownProgress | None:
        """The progress of this tenant's event; None when there is no such event. Raises `Unavailable`."""
        found, claim = await asyncio.gather(
            self._store.find(tenant, event_id), self._claims.find_event(tenant, event_id)
        )
        accepted_at = claim.created_at if claim else None
        if found is not None:
            return ShownProgress(
                id=event_id,
                status="routed" if found.fanned_out_at else "routing",
                accepted_at=accepted_at,
                recorded_at=found.created_at,
                fanned_out_at=found.fanned_out_at,
                counts=list(found.groups),
                unknown_recipients=list(found.unknown_recipients),
            )
        return ShownProgress(id=event_id, status="accepted", accepted_at=accepted_at) if claim else None
