"""What stands between us and one server: its circuit breaker, and where servers are the customers' choice, how many
calls it may have at once and how long others may wait for it. One black-holed webhook takes its own share and no more.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta

import structlog

from libs.common.domain.breaker import Breaker, BreakerRules, Position
from libs.common.domain.channels import Channel, Lane
from libs.common.domain.outcome import Outcome
from libs.common.domain.retry import Settle
from libs.common.domain.states import State
from libs.common.observability.metrics import Metrics
from services.dispatcher.health import is_healthy
from services.dispatcher.slots import Slots

_log = structlog.get_logger(__name__)

LONGEST_WAIT = 1.0
"""Seconds that a message may wait for a slot of its endpoint: past it, it waits in a tier and not in our hands."""
_MOST_WAITING = 64
"""For one endpoint: a quarter of what a line may have in flight."""
_TYPICAL = 0.1
"""Seconds: what a call is believed to take as long as nobody knows."""
_FEWER = 4
"""An endpoint sees fewer calls than a provider: so many times fewer are enough to judge it."""
_SERVES_MANY = {"webpush": 4}
"""A webhook's host serves one customer, a browser's push service all of them: so many times more calls at once."""
_KNOWN_ENDPOINTS = 10_000
"""Past so many, those that nobody uses are forgotten."""


@dataclass(frozen=True, slots=True)
class Withheld:
    """No call was made: the provider is left alone, or has no room now. Another try is due after `wait` at the
    earliest. `stand_in`: whether the next provider may be asked instead."""

    reason: str
    wait: timedelta = timedelta()
    stand_in: bool = False


@dataclass(frozen=True, slots=True)
class Withdrawn(Withheld):
    """No call was made, and none will be: the recipient has said no while the message waited for its turn."""

    step: Settle = field(default_factory=lambda: Settle(State.SUPPRESSED))


class Judged:
    """A call under way; `outcome` is what its breaker is told."""

    outcome: Outcome | None = None


class Guard:
    """The breaker of one server, and its share of the slots if it has one."""

    def __init__(self, breaker: Breaker, slots: Slots | None, limit: int, monotonic: Callable[[], float]) -> None:
        self.breaker = breaker
        self.slots = slots
        self._limit = limit
        self._monotonic = monotonic
        self._typical = _TYPICAL

    def closed(self) -> Withheld | None:
        """Why nothing may be sent there now, if so."""
        return self._left_alone() if self.room() == 0 else None

    def room(self) -> int | None:
        """How many calls may begin now; None: any number."""
        return self.breaker.room(self._monotonic())

    @asynccontextmanager
    async def admitted(self, lane: Lane) -> AsyncIterator[Withheld | None]:
        """Hold one of the server's own slots while the block runs; the block is told why not, if there is none."""
        if self.slots is None:
            yield None
        elif self.slots.waiting >= self._within_reach():
            yield Withheld("endpoint_busy")
        else:
            async with AsyncExitStack() as stack:
                withheld = None
                try:
                    async with asyncio.timeout(LONGEST_WAIT):
                        await stack.enter_async_context(self.slots.taken(lane))
                except TimeoutError:
                    withheld = Withheld("endpoint_busy")
                yield withheld

    def _within_reach(self) -> int:
        """How many may wait, so that the last of them gets its slot in time."""
        return min(_MOST_WAITING, max(1, int(self._limit * LONGEST_WAIT / self._typical)))

    def _left_alone(self) -> Withheld:
        return Withheld("breaker_open", timedelta(seconds=self.breaker.remaining(self._monotonic())), stand_in=True)

    @contextmanager
    def judging(self) -> Iterator[Judged | Withheld]:
        """One call, if the breaker lets it through, and what it says about the server."""
        permit = self.breaker.admit(self._monotonic())
        if permit is None:
            yield self._left_alone()
            return
        judged, started = Judged(), self._monotonic()
        try:
            yield judged
        finally:
            now = self._monotonic()
            healthy = None if judged.outcome is None else is_healthy(judged.outcome)
            if judged.outcome is not None:
                self._typical += 0.2 * (now - started - self._typical)
            self.breaker.report(permit, healthy, now)


class Guards:
    """The guards of one provider's servers, by host: one for most; for webhooks as many as customers have."""

    def __init__(
        self,
        channel: Channel,
        rules: BreakerRules,
        metrics: Metrics,
        endpoint_concurrency: int = 8,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._channel = channel
        self._rules = rules
        self._endpoint_rules = replace(rules, minimum=-(-rules.minimum // _FEWER))
        self._metrics = metrics
        self._endpoint_concurrency = endpoint_concurrency
        self._monotonic = monotonic
        self._guards: dict[tuple[str, str], Guard] = {}
        self._troubled: set[tuple[str, str]] = set()
        self._forget_at = _KNOWN_ENDPOINTS

    def of(self, provider: str, host: str = "") -> Guard:
        """The guard of a provider, or of one of the hosts that it calls."""
        key = (provider, host)
        guard = self._guards.get(key)
        if guard is None:
            if len(self._guards) >= self._forget_at:
                self._forget()
            guard = self._guards[key] = self._make(provider, host)
        return guard

    def __len__(self) -> int:
        """How many servers are known."""
        return len(self._guards)

    def _make(self, provider: str, host: str) -> Guard:
        def moved(position: Position) -> None:
            self._tell(provider, host, position)

        breaker = Breaker(self._endpoint_rules if host else self._rules, moved)
        limit = self._endpoint_concurrency * _SERVES_MANY.get(provider, 1)
        slots = Slots(limit) if host else None
        return Guard(breaker, slots, limit, self._monotonic)

    def _forget(self) -> None:
        now = self._monotonic()
        for key, guard in list(self._guards.items()):
            in_use = guard.slots is not None and (guard.slots.in_use or guard.slots.waiting)
            if not in_use and guard.breaker.idle(now):
                del self._guards[key]
                self._troubled.discard(key)
        self._forget_at = max(_KNOWN_ENDPOINTS, 2 * len(self._guards))  # so that looking through them stays rare

    def _tell(self, provider: str, host: str, position: Position) -> None:
        key = (provider, host)
        (self._troubled.discard if position is Position.CLOSED else self._troubled.add)(key)
        troubled = sum(name == provider for name, _ in self._troubled)
        self._metrics.count("breaker_moves", channel=self._channel, provider=provider, position=position)
        self._metrics.gauge("breakers_open", troubled, channel=self._channel, provider=provider)
        (_log.warning if position is Position.OPEN else _log.info)(
            "breaker.moved", channel=self._channel, provider=provider, host=host, position=position
        )
