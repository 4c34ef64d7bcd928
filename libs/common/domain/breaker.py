"""Whether a provider is worth asking. Counts how calls ended over a rolling window and stops asking when too many
failed; after a cool-down a few probes decide. Knows no clock: every call is told the time, in seconds that only grow.

    closed ──── of the latest calls, at least `minimum` in `window`, `threshold` or more failed ────▶ open
    open ────── `cool_down` is over ────▶ half-open
    half-open ─ of `probes` calls, fewer than `threshold` failed ────▶ closed
    half-open ─ of `probes` calls, `threshold` or more failed ────▶ open

What always fails is tried again and again, and so makes up more and more of the calls: of 20 % hopeless messages with
six attempts each come 60 % of them. A provider that takes the others is not to be left alone for that, hence the high
threshold; what fails here and there is the retries' business.

See M. Nygard, Release It!, 5.2; the states are named as there.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

_STEPS = 50
"""Parts of the window that are counted together, and forgotten together."""
_ENOUGH = 5
"""So many times the minimum are judged, the latest: after a busy minute an outage is to be seen in a hundred calls, not
once the window has passed."""


class Position(StrEnum):
    """Where a breaker stands."""

    CLOSED = "closed"
    """Calls go through."""
    OPEN = "open"
    """None do."""
    HALF_OPEN = "half_open"
    """A few do, to see."""


@dataclass(frozen=True, slots=True)
class BreakerRules:
    """When to stop asking, in seconds and calls. `minimum` 0: never."""

    threshold: float = 0.8
    minimum: int = 20
    window: float = 10.0
    cool_down: float = 5.0
    probes: int = 3


@dataclass(frozen=True, slots=True)
class Permit:
    """The right to make one call. It counts only if the breaker has not moved since: a call that began before and ends
    late says nothing about now."""

    epoch: int


class Breaker:
    """One provider's (or one endpoint's) breaker. `moved` is told each new position."""

    def __init__(self, rules: BreakerRules, moved: Callable[[Position], None] = lambda _: None) -> None:
        self._rules = rules
        self._moved = moved
        self._position = Position.CLOSED
        self._epoch = 0
        self._opened_at = 0.0
        self._steps: deque[tuple[int, int, int]] = deque()
        """(number of the step, calls, failures), oldest first."""
        self._out = 0
        """Probes under way."""
        self._passed = 0
        """Probes that succeeded."""
        self._failed = 0
        """Probes that failed."""

    def position(self, now: float) -> Position:
        """Where it stands; an open one whose cool-down is over becomes half-open."""
        if self._position is Position.OPEN and now - self._opened_at >= self._rules.cool_down:
            self._move(Position.HALF_OPEN)
        return self._position

    def room(self, now: float) -> int | None:
        """How many calls may begin now; None: any number."""
        match self.position(now):
            case Position.CLOSED:
                return None
            case Position.OPEN:
                return 0
            case Position.HALF_OPEN:
                return self._rules.probes - self._passed - self._failed - self._out

    def remaining(self, now: float) -> float:
        """Seconds until the cool-down is over; 0 when it is, or when none is under way."""
        if self.position(now) is not Position.OPEN:
            return 0.0
        return self._rules.cool_down - (now - self._opened_at)

    def admit(self, now: float) -> Permit | None:
        """Permission to make one call, to be given back with `report`; None: not now."""
        room = self.room(now)
        if room is not None:
            if room <= 0:
                return None
            self._out += 1
        return Permit(self._epoch)

    def report(self, permit: Permit, healthy: bool | None, now: float) -> None:
        """How the call ended. None: it was not made, or its end says nothing about the provider."""
        if permit.epoch != self._epoch:
            return
        if self._position is Position.HALF_OPEN:
            self._out -= 1
            self._judge_probe(healthy, now)
        elif healthy is not None and self._rules.minimum:
            self._count(healthy, now)

    def idle(self, now: float) -> bool:
        """Whether little would be lost by forgetting it: nobody has used it for as long as it remembers."""
        self._forget(now)
        return self.position(now) is not Position.OPEN and not self._steps and not self._out

    def _judge_probe(self, healthy: bool | None, now: float) -> None:
        """Decides as soon as the other probes cannot change it."""
        if healthy is None:
            return
        self._passed += healthy
        self._failed += not healthy
        limit = self._rules.threshold * self._rules.probes
        if self._failed >= limit:
            self._open(now)
        elif self._passed > self._rules.probes - limit:
            self._move(Position.CLOSED)

    def _count(self, healthy: bool, now: float) -> None:
        step = self._step(now)
        calls, failures = 0, 0
        if self._steps and self._steps[-1][0] == step:
            _, calls, failures = self._steps.pop()
        self._steps.append((step, calls + 1, failures + (not healthy)))
        self._forget(now)
        if healthy:
            return
        total = sum(calls for _, calls, _ in self._steps)
        failed = sum(failures for _, _, failures in self._steps)
        if total >= self._rules.minimum and failed >= self._rules.threshold * total:
            self._open(now)

    def _forget(self, now: float) -> None:
        oldest = self._step(now) - _STEPS
        while self._steps and self._steps[0][0] <= oldest:
            self._steps.popleft()
        enough = _ENOUGH * self._rules.minimum
        total = sum(calls for _, calls, _ in self._steps)
        while self._steps and total - self._steps[0][1] >= enough:
            total -= self._steps.popleft()[1]

    def _step(self, now: float) -> int:
        return int(now * _STEPS / self._rules.window)

    def _open(self, now: float) -> None:
        self._opened_at = now
        self._move(Position.OPEN)

    def _move(self, position: Position) -> None:
        self._position = position
        self._epoch += 1
        self._steps.clear()
        self._out = self._passed = self._failed = 0
        self._moved(position)
