"""How a message finds a provider that takes it: the first of its channel, or one that stands in for it. Decides who is
asked and when nobody is; what an outcome means for the delivery is decided in `domain/retry.py`.

    the provider asked               next
    -------------------------------  ------------------------------------------------------------------------
    left alone (its breaker is open) the next provider
    says not now                     the next provider: the message was surely not sent
    accepts, refuses for good        that is the answer
    gives no usable answer           that is the answer: it may have been sent, and another one knows nothing of it
    has no room in time              put off, without an attempt
    we stop before its turn comes    put off, without an attempt
    the recipient objects meanwhile  over, without an attempt
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime

from libs.common.domain.channels import Lane
from libs.common.domain.outcome import NotNow
from services.dispatcher.channels.base import BulkSender, Message
from services.dispatcher.guards import Withheld
from services.dispatcher.providers import Call, Objection, Provider, Room

_PATIENCE = 2.0
"""Seconds that a line waits for room before it claims anything: less than a partition has to be let go of (5 s)."""


class Flow:
    """The providers of one channel, preferred ones first; at least one."""

    def __init__(
        self, providers: Sequence[Provider], sleep: Callable[[float], Awaitable[object]] = asyncio.sleep
    ) -> None:
        self.providers = tuple(providers)
        self._sleep = sleep

    @property
    def bulk(self) -> BulkSender | None:
        """The sender that takes many messages in one call, if the channel has one."""
        sender = self.providers[0].sender
        return sender if isinstance(sender, BulkSender) else None

    def stop(self) -> None:
        """Begin no call any more."""
        for provider in self.providers:
            provider.stop()

    async def ask(
        self, message: Message, lane: Lane, until: datetime, objection: Objection, *, alone: bool = False
    ) -> list[Call] | Withheld:
        """Every call that was made for one attempt, in order; the last one counts. `alone`: nobody stands in, since a
        provider may have the message already and nobody else would know."""
        calls: list[Call] = []
        reasons: list[Withheld] = []
        for provider in self._candidates(message)[: 1 if alone else None]:
            asked = await provider.ask(message, lane, until, objection)
            if isinstance(asked, Withheld):
                reasons.append(asked)
                if not asked.stand_in:
                    break
            else:
                calls.append(asked)
                if not isinstance(asked.outcome, NotNow):
                    break
        return calls or min(reasons, key=lambda withheld: withheld.wait)

    def _candidates(self, message: Message) -> list[Provider]:
        """The providers that this message could go to. Some share a sender for a part of the messages (web push)."""
        senders = {id(provider.sender_of(message)): provider for provider in reversed(self.providers)}
        return list(reversed(senders.values()))

    async def room(self, wanted: int) -> Room:
        """How many of `wanted` messages could be sent soon. Waits a little where a rate is all that is in the way."""
        room = self._room()
        if room.held is not None and not room.held.stand_in:
            rate = max(provider.rate for provider in self.providers)
            await self._sleep(min(_PATIENCE, wanted / rate))
            room = self._room()
        return room

    def _room(self) -> Room:
        rooms = [provider.room(_PATIENCE) for provider in self.providers]
        if any(room.calls is None for room in rooms):
            return Room(None)
        calls = sum(room.calls or 0 for room in rooms)
        reasons = [room.held for room in rooms if room.held is not None]
        # A rate passes sooner than a cool-down.
        held = min(reasons, key=lambda withheld: (withheld.stand_in, withheld.wait), default=None)
        return Room(calls, held if not calls else None)
