"""Makes ends of attempts durable, many at once: the log first, then the states. What finishes within one window, or
while the last write is under way, shares one append and one bulk write; a slow endpoint delays nobody but itself."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import structlog

from libs.common.appending import append_all
from libs.common.background import end
from libs.common.clock import Clock
from libs.common.domain.deliveries import KnownDelivery, Settlement
from libs.common.domain.errors import Poison
from libs.common.domain.retry import Settle
from libs.common.domain.states import State
from libs.common.observability.metrics import Metrics
from libs.common.ports import Log
from libs.common.topics import Topics
from services.dispatcher.patience import Patience
from services.dispatcher.ports import DeliveryStore
from services.dispatcher.records import records_of

_log = structlog.get_logger(__name__)

_WINDOW = 0.004
"""Seconds to wait for company: what sends to a fast provider differ by; the end-to-end budget is 250 ms."""
_MOST = 256
"""Settlements per write: 0.35 s on the slowest server that we support (1.3 ms each)."""


class Settler:
    """Settles the attempts of one line."""

    def __init__(
        self, store: DeliveryStore, log: Log, topics: Topics, clock: Clock, patience: Patience, metrics: Metrics
    ) -> None:
        self._store = store
        self._log = log
        self._topics = topics
        self._clock = clock
        self._patience = patience
        self._metrics = metrics
        self._waiting: list[tuple[Settlement, asyncio.Future[None]]] = []
        self._writer: asyncio.Task[None] | None = None

    async def settle(self, settlement: Settlement) -> None:
        """Returns once everything that follows from `settlement` is durable."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((settlement, done))
        if self._writer is None or self._writer.done():
            self._writer = asyncio.create_task(self._write_all())
        await done

    async def close(self) -> None:
        """Stop writing; what was not written is repeated by whoever reads the records again."""
        if self._writer is not None:
            await end(self._writer)

    async def _write_all(self) -> None:
        await asyncio.sleep(_WINDOW)
        while self._waiting:
            batch, self._waiting = self._waiting[:_MOST], self._waiting[_MOST:]
            try:
                await self.write([settlement for settlement, _ in batch])
            except BaseException as error:
                for _, done in batch:
                    if not done.done():
                        done.set_exception(error) if isinstance(error, Exception) else done.cancel()
                if not isinstance(error, Exception):
                    raise
                continue
            for _, done in batch:
                if not done.done():
                    done.set_result(None)

    async def write(self, settlements: Sequence[Settlement]) -> None:
        """The log first: a state that promises another attempt, or tells of an end, must never stand alone."""
        ours, overtaken = await self._sort(settlements)
        written = await self._append(ours)
        # What was overtaken changes no state any more; where nobody has claimed it since, its attempt is still history.
        took_effect = await self._patience.insist("settle", lambda: self._store.settle([*written, *overtaken]))
        if took_effect < len(written):
            _log.warning("settle.outdated", settlements=len(written), took_effect=took_effect)
        for settlement in written:
            if isinstance(settlement.step, Settle):
                self._metrics.count("deliveries_settled", channel=settlement.claim.work.channel, state=settlement.state)

    async def _sort(self, settlements: Sequence[Settlement]) -> tuple[list[Settlement], list[Settlement]]:
        """What is still ours, and what was overtaken since the lease ran out (we were stopped, or waited too long):
        somebody else has claimed it, or its end is written, by whoever gave it up or by the owner that was given up.
        Our write would not change its state, and the log must not tell what is not so. Costs a read, then alone."""
        now = self._clock()
        late = [settlement.claim.work.delivery_id for settlement in settlements if settlement.claim.lease_until <= now]
        if not late:
            return list(settlements), []
        found = await self._patience.insist("settle", lambda: self._store.find(late))
        ours: list[Settlement] = []
        overtaken: list[Settlement] = []
        for settlement in settlements:
            known = found.get(settlement.claim.work.delivery_id)
            (overtaken if known is not None and _has_moved_on(known, settlement) else ours).append(settlement)
        if overtaken:
            _log.warning("settle.fenced", deliveries=sorted(each.claim.work.delivery_id for each in overtaken))
        return ours, overtaken

    async def _append(self, settlements: list[Settlement]) -> list[Settlement]:
        if not settlements:
            return settlements
        records = [record for settlement in settlements for record in records_of(settlement, self._topics)]
        try:
            await self._patience.insist("log", lambda: append_all(self._log, records))
        except Poison:
            if len(settlements) > 1:  # one of them is too large: find out which
                return [written for each in settlements for written in await self._append([each])]
            return await self._append([_unrecordable(settlements[0])])
        return settlements


def _has_moved_on(known: KnownDelivery, settlement: Settlement) -> bool:
    return known.fence != settlement.claim.fence or known.state is not State.SENDING


def _unrecordable(settlement: Settlement) -> Settlement:
    """An event so large that the record of its next attempt, somewhat larger than its batch, does not fit the log:
    nothing can follow."""
    return replace(settlement, step=Settle(State.UNDELIVERABLE, "too_large_to_retry"))
