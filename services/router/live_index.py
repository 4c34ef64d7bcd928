"""The index of all subscriptions, kept live: built aside from the truth, swapped in whole, then changed record by
record as people change their minds. Decides when it has to be built anew; knows nothing of events."""

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager

import msgspec
import structlog
from pyroaring import BitMap

from libs.common.background import beside
from libs.common.domain.errors import Poison, Unavailable
from libs.common.domain.index import Profile, SubscriptionIndex
from libs.common.domain.messages import SubscriberChanged
from libs.common.domain.pattern import Fields
from libs.common.domain.subscribers import ended_version
from libs.common.domain.wishes import read_wishes
from libs.common.observability.metrics import Metrics
from libs.common.ports import Received, Stale
from services.router.ports import Changes, SubscriberSource

_log = structlog.get_logger(__name__)

Bury = Callable[[Sequence[tuple[Received, str]]], Awaitable[None]]
"""Writes dead letters; raises `Unavailable`."""

_CHANGES = msgspec.json.Decoder(SubscriberChanged)
_PAUSE = 1.0
"""Seconds between attempts while Kafka or MongoDB is away."""
_FRESH = 15.0
"""Seconds since it was last confirmed that no change is missing, after which the index counts as stale. It is confirmed
each 5."""
_TELL_EVERY = 1.0
_DEAR = 20_000
"""Comparisons, some 10 ms: an event that takes more is matched by a thread. One of 40,000 values took 20 s with a
thousand numeric filters; meanwhile no heart beat, and the group threw the router out."""


class LiveIndex:
    """The index as it stands. `run` keeps it live until it is cancelled."""

    def __init__(self, source: SubscriberSource, changes: Changes, bury: Bury, metrics: Metrics) -> None:
        self._source = source
        self._changes = changes
        self._bury = bury
        self._metrics = metrics
        self._index: SubscriptionIndex | None = None
        self._positions: dict[int, int] = {}
        self._confirmed = 0.0
        self._loaded = asyncio.Event()
        self._matching = 0
        """Threads that are reading the index: it may not change meanwhile."""
        self._unread = asyncio.Event()
        self._unread.set()

    @property
    def index(self) -> SubscriptionIndex:
        """The whole index; raises `Unavailable` until there is one."""
        if self._index is None:
            raise Unavailable("the index is being loaded")
        return self._index

    @property
    def position(self) -> dict[str, int]:
        """For each partition of the changes the offset that comes next: all before it is in the index."""
        return {str(partition): offset for partition, offset in sorted(self._positions.items())}

    async def match(self, tenant: str, fields: Fields) -> list[tuple[Profile, BitMap]]:
        """The ordinals of those who want the event, by profile, as the index is at the call. Raises `Unavailable` until
        there is one."""
        index = self.index
        gathered = index.gather(tenant, fields)
        if gathered.checks <= _DEAR:
            return index.verify(tenant, gathered)
        with self._standing_still():
            return await asyncio.to_thread(index.verify, tenant, gathered)

    @contextmanager
    def _standing_still(self) -> Iterator[None]:
        self._matching += 1
        self._unread.clear()
        try:
            yield
        finally:
            self._matching -= 1
            if not self._matching:
                self._unread.set()

    async def loaded(self) -> None:
        """Returns once there is a whole index."""
        await self._loaded.wait()

    async def ready(self) -> dict[str, object]:
        """Its size and position; raises `Unavailable` until there is one, and while changes may be missing in it."""
        size = self.index.counts().subscribers
        if (age := self._age()) > _FRESH:
            raise Unavailable(f"the index may be stale: the changes were last heard of {age:.0f} s ago")
        return {"subscribers": size, "position": self.position}

    async def run(self) -> None:
        """Loads and follows, anew whenever following is over; outlasts Kafka and MongoDB being away."""
        async with beside(self._tell(), name="index"):
            await self._keep_live()

    async def _keep_live(self) -> None:
        while True:
            try:
                await self._load()
                await self._follow()
            except Stale as error:
                _log.warning("index.stale", reason=str(error))
            except Unavailable as error:
                _log.warning("index.waiting", error=str(error))
                await asyncio.sleep(_PAUSE)
            except Exception:  # a defect of ours must not leave the index behind in silence
                _log.exception("index.defect")
                await asyncio.sleep(_PAUSE)

    async def _load(self) -> None:
        """The ends are taken before the scan: what changes while it runs is seen twice, never missed."""
        asked = time.monotonic()
        ends = await self._changes.ends()
        fresh = SubscriptionIndex()
        async for batch in self._source.scan():
            for changed in batch:
                try:
                    _put(fresh, changed)
                except ValueError as error:  # a taken ordinal costs its owner the place, not everybody the index
                    _log.error("index.refused", subscriber=changed.subscriber_id, error=str(error))
        self._index, self._positions, self._confirmed = fresh, dict(ends), asked
        self._loaded.set()
        self._report()
        _log.info("index.loaded", position=self.position, **msgspec.structs.asdict(fresh.counts()))

    async def _follow(self) -> None:
        async for records in self._changes.since(self._positions):
            if not records:
                self._confirmed = time.monotonic()
                continue
            await self._unread.wait()
            poison = [(record, reason) for record in records if (reason := self._apply(record)) is not None]
            await self._bury_patiently(poison)
            # Each partition's records come in order, so the last is the furthest.
            self._positions |= {record.partition: record.offset + 1 for record in records}
            self._report()

    def _apply(self, record: Received) -> str | None:
        """Take one change in; the reason when it cannot be read."""
        try:
            if record.value is None:
                tenant, subscriber_id = _owner(record.key)
                self.index.remove(tenant, subscriber_id, ended_version(record.headers))
            else:
                _put(self.index, _CHANGES.decode(record.value))
        except (Poison, msgspec.DecodeError, ValueError, RecursionError) as error:
            return f"{type(error).__name__}: {error}"
        return None

    async def _bury_patiently(self, poison: Sequence[tuple[Received, str]]) -> None:
        while poison:
            try:
                await self._bury(poison)
            except Unavailable as error:
                _log.warning("index.waiting", error=str(error))
                await asyncio.sleep(_PAUSE)
            else:
                return

    def _age(self) -> float:
        """Seconds for which changes may be missing."""
        return time.monotonic() - self._confirmed if self._index is not None else math.inf

    async def _tell(self) -> None:
        while True:
            self._metrics.gauge("index_ready", int(self._age() <= _FRESH))
            await asyncio.sleep(_TELL_EVERY)

    def _report(self) -> None:
        self._metrics.gauge("index_subscribers", self.index.counts().subscribers)


def _put(index: SubscriptionIndex, changed: SubscriberChanged) -> None:
    subscriber, unusable = read_wishes(changed)
    for part in unusable:
        _log.warning(
            "index.unusable",
            tenant=changed.tenant,
            subscriber=changed.subscriber_id,
            part=part.part,
            reason=part.reason,
        )
    index.put(changed.tenant, subscriber)


def _owner(key: bytes | None) -> tuple[str, str]:
    """Tenant and subscriber of a record's key, `tenant:subscriber`; raises `Poison`."""
    try:
        tenant, separator, subscriber_id = (key or b"").decode().partition(":")
    except UnicodeDecodeError as error:
        raise Poison("the key is not UTF-8") from error
    if not separator:
        raise Poison("a tombstone without a subscriber in its key")
    return tenant, subscriber_id
