"""Asks, right before sending, whether a delivery is still wanted, and where it is to go. What consent means is decided
in `domain/consent.py`; here is only read what it needs, for many deliveries in two round trips."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from libs.common.clock import Clock
from libs.common.domain.consent import Recipient, check, suppression_key
from libs.common.domain.deliveries import Claim, Settlement
from libs.common.domain.retry import Settle
from services.dispatcher.patience import Patience
from services.dispatcher.ports import RecipientStore, SuppressionStore

_Person = tuple[str, str]
"""Tenant and subscriber id."""


@dataclass(frozen=True, slots=True)
class Cleared:
    """A delivery that may be sent, to whom, and where."""

    claim: Claim
    address: str
    recipient: Recipient
    checked_at: datetime


class Checker:
    """Checks claims. What is away is waited for; nothing is cached."""

    def __init__(
        self, recipients: RecipientStore, suppressions: SuppressionStore, patience: Patience, clock: Clock
    ) -> None:
        self._recipients = recipients
        self._suppressions = suppressions
        self._patience = patience
        self._clock = clock

    async def check(self, claims: Sequence[Claim]) -> list[Cleared | Settlement]:
        """For each claim, to whom and where it is to be sent; or that it is over, and why."""
        if not claims:
            return []
        recipients = await self._recipients_of(claims)
        addresses = {key for claim in claims if (key := suppression_key(claim.work, recipients.get(_person(claim))))}
        suppressed = (
            await self._patience.insist("check", lambda: self._suppressions.find_many(addresses)) if addresses else {}
        )
        now = self._clock()
        checked: list[Cleared | Settlement] = []
        for claim in claims:
            recipient = recipients.get(_person(claim))
            found = check(claim.work, recipient, now, suppressed)
            if isinstance(found, Settle):
                checked.append(Settlement(claim, found, now))
            elif recipient is not None:  # there is no address of nobody
                checked.append(Cleared(claim, found, recipient, now))
        return checked

    async def _recipients_of(self, claims: Sequence[Claim]) -> Mapping[_Person, Recipient]:
        people = {_person(claim) for claim in claims}
        return await self._patience.insist("check", lambda: self._recipients.find(people))


def _person(claim: Claim) -> _Person:
    return claim.work.event.tenant, claim.work.subscriber_id
