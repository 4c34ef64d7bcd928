"""What a provider's receipt does to deliveries: which ones it speaks of, and what they become. Receipts come in any
order and any number of times; the table of moves in `states.py` makes that harmless. Knows no store."""

from collections.abc import Collection, Sequence
from enum import StrEnum

import msgspec

from libs.common.domain.channels import Channel
from libs.common.domain.notifications import KeptDelivery
from libs.common.domain.states import State, may_move


class ReceiptStatus(StrEnum):
    """What became of a message; upper case on the wire."""

    DELIVERED = "DELIVERED"
    """It arrived."""
    BOUNCED = "BOUNCED"
    """It cannot arrive, now or later: nobody is there."""
    COMPLAINED = "COMPLAINED"
    """It arrived, and the person called it spam."""


OUTCOME: dict[ReceiptStatus, tuple[State, str]] = {
    ReceiptStatus.DELIVERED: (State.DELIVERED, ""),
    ReceiptStatus.BOUNCED: (State.UNDELIVERABLE, "bounced"),
    ReceiptStatus.COMPLAINED: (State.UNDELIVERABLE, "complained"),
}
"""The state that a delivery enters, if it may, and its reason."""


class Receipt(msgspec.Struct, frozen=True, kw_only=True):
    """What a provider says of a notification on one channel."""

    channel: Channel
    status: ReceiptStatus
    provider_message_id: str = ""
    detail: str = ""
    """The provider's own words."""

    @property
    def state(self) -> State:
        """The state that it leads to."""
        return OUTCOME[self.status][0]

    @property
    def reason(self) -> str:
        """The reason code that goes with the state."""
        return OUTCOME[self.status][1]

    @property
    def suppresses(self) -> bool:
        """Whether nothing may be sent to that address any more, whatever state the delivery is in."""
        return self.status is not ReceiptStatus.DELIVERED


def concerned(receipt: Receipt, deliveries: Collection[KeptDelivery]) -> Sequence[KeptDelivery]:
    """The deliveries of a notification that a receipt speaks of.

    Those of its channel. Of several (a person has several devices): the one with the provider's message id, or the only
    one whose id is not known yet, since a receipt can be faster than our own write. A receipt without an id speaks of
    all of them.
    """
    here = [found for found in deliveries if found.channel is receipt.channel]
    if len(here) <= 1 or not receipt.provider_message_id:
        return here
    if named := [found for found in here if found.provider_message_id == receipt.provider_message_id]:
        return named
    unnamed = [found for found in here if not found.provider_message_id]
    return unnamed if len(unnamed) == 1 else []


def next_state(state: State, receipt: Receipt) -> State:
    """The state after a receipt: where it leads to, or the same one when that would be backwards."""
    return receipt.state if may_move(state, receipt.state) else state
