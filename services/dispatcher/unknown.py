"""Asks providers what became of a message whose outcome nobody knows, before it is sent again (policy `query`).

a provider says            what follows
-------------------------  ---------------------------------------------------------------------
it has it                  SENT, without another call
it refused it              UNDELIVERABLE
all: never seen it         it is sent, as if for the first time
(we stop before we asked)  it is put off, and stays in doubt
anything else              still unknown: asked again later, and left as it is after the last try
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol, runtime_checkable

import structlog

from libs.common.clock import Clock
from libs.common.domain.channels import Lane
from libs.common.domain.outcome import Accepted, Outcome, Refused, Unknown
from libs.common.domain.retry import UnknownPolicy
from services.dispatcher.channels.base import Message, Sender
from services.dispatcher.guards import Withheld
from services.dispatcher.providers import Call, Provider

_log = structlog.get_logger(__name__)


@runtime_checkable
class Queryable(Sender, Protocol):
    """A provider that can be asked for a message by its delivery id."""

    async def look_up(self, message: Message) -> Outcome | None:
        """What became of it; None if the provider has never seen it. Unknown or NotNow if it cannot say."""
        ...


def policy_of(wanted: UnknownPolicy, senders: Sequence[Sender]) -> UnknownPolicy:
    """The policy that these senders allow: where one cannot be asked, a message in doubt is parked instead."""
    silent = [sender.provider for sender in senders if not isinstance(sender, Queryable)]
    if wanted is UnknownPolicy.QUERY and silent:
        _log.warning("unknown_policy.parks", reason="providers that cannot be asked", providers=silent)
        return UnknownPolicy.PARK
    return wanted


async def look_up(providers: Sequence[Provider], message: Message, lane: Lane, clock: Clock) -> Call | Withheld | None:
    """What the providers know of a message; None if none has seen it."""
    answer: Call | None = None
    for provider in providers:
        found = await _ask(provider, message, lane, clock)
        if isinstance(found, Withheld):
            return found
        if found is not None:
            if isinstance(found.outcome, Accepted | Refused):
                return found
            answer = found
    return answer


async def _ask(provider: Provider, message: Message, lane: Lane, clock: Clock) -> Call | Withheld | None:
    sender = provider.sender
    at: datetime = clock()
    if not isinstance(sender, Queryable):
        return Call(sender.provider, Unknown("cannot_be_asked"), at, 0.0)
    async with provider.slots.taken(lane):
        if provider.stopping is not None:
            return provider.stopping
        at = clock()
        try:
            outcome = await sender.look_up(message)
        except Exception:
            _log.exception("sender.defect", delivery_id=message.delivery_id, provider=sender.provider)
            outcome = Unknown("sender_defect")
    if outcome is None:
        return None
    known = isinstance(outcome, Accepted | Refused)
    return Call(sender.provider, outcome if known else Unknown("look_up_failed"), at, (clock() - at).total_seconds())
