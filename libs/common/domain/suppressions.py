"""Addresses that must not be written to any more: they bounced for good, somebody complained, or an operator said so.
What is kept is a hash. It recognises an address and cannot be read, so that it may stay when the person is erased; it
is no secret, though: whoever has it can try addresses one by one."""

import json
from datetime import datetime
from enum import StrEnum
from hashlib import sha256

import msgspec

from libs.common.domain.channels import Channel

SUPPRESSIBLE: frozenset[Channel] = frozenset({Channel.EMAIL, Channel.SMS})
"""The channels whose addresses outlive a subscriber. A dead push token or webhook is retired instead."""


class Reason(StrEnum):
    """Why nothing may be sent."""

    HARD_BOUNCE = "HARD_BOUNCE"
    COMPLAINT = "COMPLAINT"
    MANUAL = "MANUAL"


_OF_RECEIPT = {"bounced": Reason.HARD_BOUNCE, "complained": Reason.COMPLAINT}


class Suppression(msgspec.Struct, frozen=True, kw_only=True):
    """One address."""

    id: str
    """`address_key(...)`."""
    tenant: str
    channel: Channel
    reason: Reason
    at: datetime
    delivery_id: str = ""


def address_key(tenant: str, channel: Channel, address: str) -> str:
    """What stands for an address of a tenant. Spaces around it and the case of letters make no difference."""
    said = [tenant, channel, address.strip().casefold()]
    return sha256(json.dumps(said, ensure_ascii=False, separators=(",", ":")).encode()).hexdigest()


def reason_of(word: str) -> Reason:
    """The reason that a receipt's reason code, or a reason's own name, means. Raises ValueError."""
    return _OF_RECEIPT.get(word) or Reason(word)
