"""Deliveries and recipients in memory, held to the same contract as MongoDB's (`tests/contract/test_deliveries.py`)."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

from libs.common.domain.consent import Recipient
from libs.common.domain.deliveries import KnownDelivery, Lease, Settlement, Take, Work
from libs.common.domain.errors import Unavailable
from libs.common.domain.states import State


@dataclass(frozen=True)
class Kept:
    """A delivery as the fake has it."""

    found: KnownDelivery
    work: Work
    reason: str = ""
    provider_message_id: str = ""
    attempts: tuple[Settlement, ...] = field(default=(), repr=False)


class MemoryDeliveries:
    """Implements the dispatcher's `DeliveryStore`; `away` makes it refuse."""

    def __init__(self) -> None:
        self.away = False
        self.kept: dict[str, Kept] = {}

    async def insert(self, claims: Sequence[tuple[Work, Lease]]) -> set[str]:
        """Claim by insert; the ids that were there already."""
        self._answer()
        known = set()
        for work, lease in claims:
            if work.delivery_id in self.kept:
                known.add(work.delivery_id)
                continue
            found = KnownDelivery(work.delivery_id, State.SENDING, work.attempt, 1, lease.owner, lease.until)
            self.kept[work.delivery_id] = Kept(found, work)
        return known

    async def find(self, delivery_ids: Collection[str]) -> dict[str, KnownDelivery]:
        """What is known of these deliveries, by id."""
        self._answer()
        return {each: self.kept[each].found for each in delivery_ids if each in self.kept}

    async def endpoints(self, works: Sequence[Work]) -> set[tuple[str, str, int]]:
        """Every (notification id, endpoint, generation) of these notifications that has a delivery on their channel."""
        self._answer()
        wanted = {(work.notification_id, work.channel) for work in works}
        kept = [each.work for each in self.kept.values()]
        return {
            (work.notification_id, work.endpoint, work.generation)
            for work in kept
            if (work.notification_id, work.channel) in wanted
        }

    async def take(self, takes: Sequence[Take], lease: Lease) -> set[str]:
        """Claim those that still are as they were found, or were taken under this very lease."""
        self._answer()
        won = set()
        for take in takes:
            kept = self.kept[take.found.delivery_id]
            now = kept.found
            if (now.fence, now.state) == (take.found.fence, take.found.state):
                claimed = KnownDelivery(
                    now.delivery_id, State.SENDING, take.attempt, take.fence, lease.owner, lease.until
                )
                self.kept[now.delivery_id] = replace(kept, found=claimed)
                won.add(now.delivery_id)
            elif now.owner == lease.owner and now.state is State.SENDING:
                won.add(now.delivery_id)
        return won

    async def settle(self, settlements: Sequence[Settlement]) -> int:
        """Write how attempts ended, if the fence is still ours."""
        self._answer()
        written = 0
        for settlement in settlements:
            kept = self.kept.get(settlement.claim.work.delivery_id)
            if kept is None or kept.found.fence != settlement.claim.fence:
                continue
            if kept.found.state is State.SENDING:
                written += 1
                kept = replace(
                    kept,
                    found=replace(kept.found, state=settlement.state, attempt=settlement.attempt, lease_until=None),
                    reason=settlement.step.reason,
                )
            elif settlement.claim.attempt in {each.claim.attempt for each in kept.attempts}:
                continue
            if settlement.tried is not None:
                kept = replace(
                    kept,
                    attempts=(*kept.attempts, settlement)[-10:],
                    provider_message_id=settlement.provider_message_id or kept.provider_message_id,
                )
            self.kept[settlement.claim.work.delivery_id] = kept
        return written

    def _answer(self) -> None:
        if self.away:
            raise Unavailable("MongoDB: away")


class MemoryRecipients:
    """Implements the dispatcher's `RecipientStore`."""

    def __init__(self, people: Mapping[tuple[str, str], Recipient] | None = None) -> None:
        self.away = False
        self.people = dict(people or {})

    async def find(self, subscribers: Collection[tuple[str, str]]) -> Mapping[tuple[str, str], Recipient]:
        """The recipients by (tenant, subscriber id)."""
        if self.away:
            raise Unavailable("MongoDB: away")
        return {each: self.people[each] for each in subscribers if each in self.people}
