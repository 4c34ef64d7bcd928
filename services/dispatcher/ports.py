"""What dispatch needs from outside, as narrow ports; `app.py` fills them in. Ports that only
channels need are theirs."""

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

from libs.common.domain.consent import Recipient
from libs.common.domain.deliveries import KnownDelivery, Lease, Settlement, Take, Work
from libs.common.domain.suppressions import Reason
from libs.common.domain.templates import Template


class DeliveryStore(Protocol):
    """Where every delivery has its one state. Every call raises `Unavailable` when the answer is unknown; calling again
    is then right."""

    async def insert(self, claims: Sequence[tuple[Work, Lease]]) -> set[str]:
        """Claim deliveries that nobody has seen, each SENDING with fence 1; the ids of those that were there.
        Others' may be among them."""
        ...

    async def find(self, delivery_ids: Collection[str]) -> dict[str, KnownDelivery]:
        """What is known of these deliveries, by id; unknown ones are left out."""
        ...

    async def take(self, takes: Sequence[Take], lease: Lease) -> set[str]:
        """Claim each one that still is as it was found; the ids of those that are now ours."""
        ...

    async def settle(self, settlements: Sequence[Settlement]) -> int:
        """Write how attempts ended; how many took effect, at least. One whose fence is outdated changes nothing; one
        whose state has moved on meanwhile (a receipt was faster) only adds its attempt to the history."""
        ...

    async def endpoints(self, works: Sequence[Work]) -> set[tuple[str, str, int]]:
        """Every (notification id, endpoint, generation) of which there is a delivery, among the notifications of
        `works`, which are all of one channel."""
        ...


class RecipientStore(Protocol):
    """Where people are, as the API writes them."""

    async def find(self, subscribers: Collection[tuple[str, str]]) -> Mapping[tuple[str, str], Recipient]:
        """The recipients by (tenant, subscriber id); unknown and erased ones are left out, others
        may be among them. Raises `Unavailable`."""
        ...


class SuppressionStore(Protocol):
    """Which addresses must not be written to. Read for every attempt and never cached."""

    async def find_many(self, keys: Collection[str]) -> Mapping[str, Reason]:
        """Why addresses are suppressed, by their keys; those that are not are left out. Raises `Unavailable`."""
        ...


class Templates(Protocol):
    """Published templates."""

    async def find(self, tenant: str, template_id: str, version: int) -> Template | None:
        """A published version; 0 stands for the current one. None when there is none. Raises `Unavailable`."""
        ...
