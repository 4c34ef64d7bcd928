"""Whether a delivery may be sent now, decided at send time from what the subscriber's document says then: after an
acknowledged unsubscribe or erase no later attempt starts, nor one to an address that is suppressed. Knows no store."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from libs.common.domain.channels import MAIN_ENDPOINT, Channel
from libs.common.domain.deliveries import Work
from libs.common.domain.retry import Settle
from libs.common.domain.states import State
from libs.common.domain.suppressions import SUPPRESSIBLE, Reason, address_key


@dataclass(frozen=True, slots=True)
class Recipient:
    """A subscriber, as far as sending needs to know. Never logged: it carries addresses."""

    active: bool
    name: str = ""
    locale: str = ""
    time_zone: str = "UTC"
    addresses: Mapping[tuple[Channel, str], str] = field(default_factory=dict, repr=False)
    """The address of each (channel, endpoint)."""
    secrets: Mapping[str, tuple[str, ...]] = field(default_factory=dict, repr=False)
    """What each webhook endpoint is signed with, newest first."""

    def endpoints(self, channel: Channel) -> tuple[str, ...]:
        """The names of this channel's endpoints."""
        return tuple(endpoint for found, endpoint in self.addresses if found is channel)

    def secrets_for(self, work: Work) -> tuple[str, ...]:
        """What a delivery is to be signed with; nothing, but on webhooks."""
        return self.secrets.get(work.endpoint, ()) if work.channel is Channel.WEBHOOK else ()


def suppression_key(work: Work, recipient: Recipient | None) -> str | None:
    """Under which key the delivery's address may be suppressed; None when it has none that can be."""
    address = recipient.addresses.get((work.channel, work.endpoint)) if recipient is not None else None
    if not address or work.channel not in SUPPRESSIBLE:
        return None
    return address_key(work.event.tenant, work.channel, address)


def check(work: Work, recipient: Recipient | None, now: datetime, suppressed: Mapping[str, Reason]) -> Settle | str:
    """The address to send to, or the state in which the delivery comes to rest unsent. `suppressed` says what is known
    of addresses, by `suppression_key`."""
    event = work.event
    if event.expiresat is not None and event.expiresat <= now:
        return Settle(State.EXPIRED, "expired")
    if recipient is None:
        return Settle(State.SUPPRESSED, "unknown_subscriber")
    if not recipient.active:
        return Settle(State.SUPPRESSED, "unsubscribed")
    if work.channel is Channel.INAPP and work.endpoint == MAIN_ENDPOINT:
        return work.subscriber_id  # the feed needs no address but the person's own id
    address = recipient.addresses.get((work.channel, work.endpoint))
    if not address:
        return Settle(State.UNDELIVERABLE, "no_address")
    reason = suppressed.get(suppression_key(work, recipient) or "")
    return Settle(State.SUPPRESSED, f"suppressed_{reason.lower()}") if reason else address
