"""How long a process that died waits before it is started again."""

from dataclasses import dataclass
from datetime import timedelta

FIRST = timedelta(seconds=0.5)
LONGEST = timedelta(seconds=10)
HEALTHY = timedelta(seconds=30)  # a life that long wipes out the deaths before it


@dataclass(frozen=True, slots=True)
class Backoff:
    """How often it died in a row."""

    deaths: int = 0

    def after_life_of(self, life: timedelta) -> "Backoff":
        """One death more, after a life that long."""
        return Backoff(1 if life >= HEALTHY else self.deaths + 1)

    @property
    def wait(self) -> timedelta:
        """The wait before the next start: 0.5 s, doubling to 10 s."""
        return min(FIRST * 2 ** min(self.deaths - 1, 16), LONGEST) if self.deaths else timedelta()
