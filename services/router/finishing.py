"""Marks events as fanned out and commits their records, for all events of a quarter of a second at once: nobody waits
for either, and each costs nearly as much for one event as for a dozen. Decides the order (what is committed was marked
before), and nothing else. What a crash leaves unmarked is fanned out again, with the same ids."""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Mapping

import structlog
from aiokafka import TopicPartition

from libs.common.clock import Clock
from libs.common.domain.errors import Unavailable
from services.router.ports import AudienceStore

_log = structlog.get_logger(__name__)

Commit = Callable[[Mapping[TopicPartition, int]], Awaitable[bool]]
"""Commits the next offset to read of each partition; False when they come again, to us or to the next owner."""

_EVERY = 0.25
"""Seconds: what a crash repeats is what was fanned out since, or since MongoDB or the group's coordinator went away."""
_DEFECT_PAUSE = 5.0
_MOST = 500
"""Events per mark: on the slowest server that we support one takes 1 ms."""


class Finisher:
    """Remembers what is fanned out until that is marked and committed."""

    def __init__(self, audiences: AudienceStore, clock: Clock) -> None:
        self._audiences = audiences
        self._clock = clock
        self._turn = asyncio.Lock()
        self._fanned_out: dict[str, None] = {}
        self._positions: defaultdict[Commit, dict[TopicPartition, int]] = defaultdict(dict)

    def mark(self, event_ids: Iterable[str]) -> None:
        """Everything that follows from these events is on the log."""
        self._fanned_out |= dict.fromkeys(event_ids)

    def __contains__(self, event_id: str) -> bool:
        """Whether an event is fanned out and nobody else can see that yet."""
        return event_id in self._fanned_out

    def commit(self, commit: Commit, positions: Mapping[TopicPartition, int]) -> None:
        """Everything before these positions is done, and what was fanned out of it has been told to `mark`."""
        self._positions[commit] |= positions

    async def run(self) -> None:
        """Finish again and again; outlasts MongoDB being away, and a mark that it refuses: inserts may go on."""
        while True:
            await asyncio.sleep(_EVERY)
            try:
                await self.finish()
            except Unavailable as error:
                _log.warning("finisher.waiting", error=str(error), events=len(self._fanned_out))
            except Exception:
                _log.exception("finisher.defect", events=len(self._fanned_out))
                await asyncio.sleep(_DEFECT_PAUSE)

    async def finish(self) -> None:
        """Mark, then commit, what there is by now. Raises `Unavailable`: then what is left is tried the next time."""
        async with self._turn:
            done, self._positions = self._positions, defaultdict(dict)
            try:
                await self._mark_all()
            except BaseException:
                for commit, positions in done.items():
                    self._positions[commit] = positions | self._positions[commit]
                raise
            # Groups have coordinators of their own: one that is away must not keep the others waiting.
            await asyncio.gather(*(commit(positions) for commit, positions in done.items()))

    async def _mark_all(self) -> None:
        fanned_out = list(self._fanned_out)
        for start in range(0, len(fanned_out), _MOST):
            portion = fanned_out[start : start + _MOST]
            await self._audiences.mark_fanned_out(portion, self._clock())
            for event_id in portion:
                self._fanned_out.pop(event_id, None)
