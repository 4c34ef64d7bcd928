"""One provider of a channel, as dispatch calls it: in turn, within its rate, and only while it is worth asking."""

import json
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlsplit

import structlog

from libs.common.clock import Clock
from libs.common.domain.bucket import Bucket
from libs.common.domain.channels import Lane
from libs.common.domain.outcome import Outcome
from services.dispatcher.channels.base import Choice, Message, Sender
from services.dispatcher.guards import Guard, Guards, Withheld
from services.dispatcher.health import OUR_DEFECT
from services.dispatcher.slots import Slots

_log = structlog.get_logger(__name__)

_BURST = 0.1
"""Seconds' worth of calls that may be made at once after a pause."""


Objection = Callable[[], Awaitable[Withheld | None]]
"""Asked when a call's turn has come, which may be long after it was decided on: what speaks against it now."""


@dataclass(frozen=True, slots=True)
class Call:
    """One call to a provider, and what came of it."""

    provider: str
    outcome: Outcome
    at: datetime
    seconds: float


@dataclass(frozen=True, slots=True)
class Room:
    """How many calls could begin soon; None: any number. `held`: why it is none."""

    calls: int | None
    held: Withheld | None = None


class Provider:
    """A sender and what stands before it: slots, a rate, a breaker for each of its servers."""

    def __init__(
        self,
        sender: Sender,
        guards: Guards,
        concurrency: int,
        clock: Clock,
        rate: float = 0.0,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.sender = sender
        self.rate = rate
        self.slots = Slots(concurrency, Bucket(rate, rate * _BURST) if rate else None, monotonic)
        self._guards = guards
        self._clock = clock

    def stop(self) -> None:
        """Begin no call any more, and keep none waiting; those under way end as ever."""
        self.slots.close()

    @property
    def stopping(self) -> Withheld | None:
        """Why no call begins here any more, once that is so."""
        return Withheld("stopping") if self.slots.closed else None

    def sender_of(self, message: Message) -> Sender:
        """The one that `message` would go to."""
        return self.sender.choose(message) if isinstance(self.sender, Choice) else self.sender

    async def ask(self, message: Message, lane: Lane, until: datetime, objection: Objection) -> Call | Withheld:
        """Make one call, unless it could not begin before `until` or the stop, the server is to be left alone, or there
        is an objection by then."""
        sender = self.sender_of(message)
        guard = self._guards.of(sender.provider, host_of(sender.provider, message))
        if (withheld := guard.closed()) is not None:
            return withheld
        async with guard.admitted(lane) as withheld:
            return withheld or await self._in_turn(sender, guard, message, lane, until, objection)

    def room(self, seconds: float) -> Room:
        """How many calls could begin within `seconds`, as far as can be told before the messages are known."""
        held = None
        left: int | None = None
        if not isinstance(self.sender, Choice) and self.sender.provider not in _HOSTS:
            guard = self._guards.of(self.sender.provider)
            left, held = guard.room(), guard.closed()
        if self.rate and held is None:
            soon = max(1, int(self.rate * seconds)) - self.slots.waiting
            left = max(0, soon if left is None else min(soon, left))
            held = None if left else Withheld("rate_limited")
        return Room(left, held)

    async def _in_turn(
        self, sender: Sender, guard: Guard, message: Message, lane: Lane, until: datetime, objection: Objection
    ) -> Call | Withheld:
        async with self.slots.taken(lane):
            # Twice: an objection is not looked for in vain, and looking for it takes as long as the database does.
            if (withheld := self.stopping or await objection() or self.stopping) is not None:
                return withheld
            at = self._clock()
            if at >= until:
                return Withheld("no_slot_in_time")
            with guard.judging() as judged:
                if isinstance(judged, Withheld):
                    return judged
                started = time.perf_counter()
                judged.outcome = await _send(sender, message)
                return Call(sender.provider, judged.outcome, at, time.perf_counter() - started)


async def _send(sender: Sender, message: Message) -> Outcome:
    """A sender raises for defects of ours alone. What was sent then is not known; the delivery must not be lost, nor
    take its group with it."""
    try:
        return await sender.send(message)
    except Exception:
        _log.exception("sender.defect", delivery_id=message.delivery_id, provider=sender.provider)
        return OUR_DEFECT


def host_of(provider: str, message: Message) -> str:
    """The host and port that a message goes to, where that is the customers' choice; empty where it is the
    operator's."""
    where = _HOSTS.get(provider)
    return where(message.to) if where else ""


def _host_of_url(url: str) -> str:
    try:
        return urlsplit(url).netloc.rpartition("@")[2].lower()
    except ValueError:
        return ""


def _host_of_subscription(token: str) -> str:
    try:
        return _host_of_url(str(json.loads(token)["endpoint"]))
    except (ValueError, KeyError, TypeError, RecursionError):
        return ""


_HOSTS: Mapping[str, Callable[[str], str]] = {"webhook": _host_of_url, "webpush": _host_of_subscription}
