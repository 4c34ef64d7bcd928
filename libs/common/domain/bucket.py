"""Keeps calls within a rate. A token bucket in the form of a single number, the time at which it would be full again
(the generic cell rate algorithm, ITU-T I.371): no timer fills it. Knows no clock: every call is told the time, in
seconds that only grow.

In any window of w seconds at most burst + rate · w calls are let through.
"""


class Bucket:
    """Tokens come at `rate` a second; up to `burst` of them, at least one, are kept for later."""

    def __init__(self, rate: float, burst: float = 1.0) -> None:
        self.rate = rate
        self._interval = 1.0 / rate
        self._kept = (max(1.0, burst) - 1.0) * self._interval
        self._full_at = 0.0

    def wait(self, now: float) -> float:
        """Seconds until there is a token; 0 if there is one."""
        return max(0.0, self._full_at - self._kept - now)

    def take(self, now: float) -> bool:
        """Take a token, if there is one."""
        if self.wait(now) > 0:
            return False
        self._full_at = max(self._full_at, now) + self._interval
        return True
