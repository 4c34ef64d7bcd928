"""Audiences in memory, held to the same contract as MongoDB's (`tests/contract/test_audiences.py`)."""

from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import datetime

from libs.common.domain.audience import Audience
from libs.common.domain.errors import Unavailable


class MemoryAudiences:
    """Implements `AudienceStore` of the router; `away` makes it refuse."""

    def __init__(self) -> None:
        self.away = False
        self.recorded: dict[str, Audience] = {}

    async def recall(self, event_ids: Collection[str]) -> dict[str, Audience]:
        """Those on record, by event id."""
        self._check()
        return {key: self.recorded[key] for key in event_ids if key in self.recorded}

    async def record(self, audiences: Sequence[Audience]) -> set[str]:
        """Put audiences on record; the ids of events that had one already, which stands."""
        self._check()
        present = {audience.event_id for audience in audiences if audience.event_id in self.recorded}
        self.recorded |= {one.event_id: one for one in audiences if one.event_id not in present}
        return present

    async def mark_fanned_out(self, event_ids: Collection[str], now: datetime) -> None:
        """Note that everything that follows from these audiences has been written."""
        self._check()
        for key in event_ids:
            if key in self.recorded:
                self.recorded[key] = replace(self.recorded[key], fanned_out=True)

    def _check(self) -> None:
        if self.away:
            raise Unavailable("MongoDB: away")
