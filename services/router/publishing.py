"""Writes what follows from audiences on record: deliveries, decisions and holds. Decides in which portions; who is in
an audience was decided before, and cannot change here."""

from collections.abc import Iterator, Sequence
from itertools import chain

import msgspec

from libs.common.appending import append_all
from libs.common.clock import Clock
from libs.common.dead_letters import bury, dead_letter
from libs.common.domain.audience import Audience
from libs.common.domain.decide import Outcome
from libs.common.domain.errors import Poison
from libs.common.domain.fan_out import Ids, batches, decision_chunks, holds, members_of
from libs.common.domain.index import SubscriptionIndex
from libs.common.domain.keys import chunk_key
from libs.common.domain.messages import BatchEncoder, DecisionChunk, DeliveryBatch
from libs.common.observability.metrics import Metrics
from libs.common.ports import Log, Record
from libs.common.topics import Topics
from services.router.finishing import Finisher
from services.router.ports import HoldStore, SubscriberSource
from services.router.reading import Incoming

CONSUMER = "router"
"""What dead letters are said to come from."""

_PORTION = 50_000
"""Deliveries after which the events written so far may be marked, so that a crash in a poll of many repeats few.
No portion splits an event: one with an audience of millions is written again from its first delivery."""


class Todo(msgspec.Struct, frozen=True, eq=False):
    """An event whose audience is on record and yet to be written out."""

    incoming: Incoming
    audience: Audience
    ids: Ids


class Publisher:
    """Fans events out."""

    def __init__(
        self,
        log: Log,
        topics: Topics,
        finisher: Finisher,
        waiting: HoldStore,
        subscribers: SubscriberSource,
        metrics: Metrics,
        clock: Clock,
    ) -> None:
        self._log = log
        self._topics = topics
        self._finisher = finisher
        self._waiting = waiting
        self._subscribers = subscribers
        self._metrics = metrics
        self._clock = clock

    async def fan_out(
        self, index: SubscriptionIndex, routed: Sequence[tuple[Incoming, Audience]], letters: Sequence[Record]
    ) -> list[Incoming]:
        """Write everything that follows, and the dead letters; returns the events that the log can never take, which
        are dead letters by then too. Raises `Unavailable`: then run it again."""
        refused: list[Incoming] = []
        for portion in _portions(routed):
            todo = [Todo(incoming, audience, await self._ids(index, audience)) for incoming, audience in portion]
            refused += await self._write(todo, letters)
            letters = ()
        if letters:
            await bury(self._log, letters)
        return refused

    async def _write(self, todo: Sequence[Todo], letters: Sequence[Record]) -> list[Incoming]:
        refused: list[Todo] = []
        try:
            await append_all(self._log, chain(letters, *map(self._records, todo)))
        except Poison:
            refused = [one for one in todo if not await self._fits(one)]
            error = "Poison: what follows from this event is too large for the log"
            topic = self._topics.dead_letters
            await bury(
                self._log, [*letters, *(dead_letter(one.incoming.record, topic, error, CONSUMER) for one in refused)]
            )
        written = [one for one in todo if one not in refused]
        await self._hold(written)
        self._finisher.mark(one.audience.event_id for one in written)
        self._count(written)
        return [one.incoming for one in refused]

    async def _fits(self, one: Todo) -> bool:
        try:
            await append_all(self._log, self._records(one))
        except Poison:
            return False
        return True

    async def _hold(self, todo: Sequence[Todo]) -> None:
        planned = (hold for one in todo for hold in holds(one.incoming.event, one.audience, one.ids))
        await self._waiting.put(planned, self._clock())

    def _records(self, one: Todo) -> Iterator[Record]:
        encoder = BatchEncoder()
        for batch in batches(one.incoming.event, one.audience, one.ids):
            yield delivery_record(self._topics, batch, encoder)
        for decision in decision_chunks(one.audience, one.ids):
            yield decision_record(self._topics, decision)

    async def _ids(self, index: SubscriptionIndex, audience: Audience) -> Ids:
        """How ordinals read as ids: by the index; where it lags behind the record, by the database."""
        tenant = audience.tenant
        missing = index.missing_ordinals(tenant, members_of(audience))
        if not missing:
            return lambda ordinals: index.subscriber_ids(tenant, ordinals)
        found = await self._subscribers.ids_of(tenant, missing)

        def ids(ordinals: Sequence[int]) -> list[str]:
            known = zip(ordinals, (index.subscriber_ids(tenant, (ordinal,)) for ordinal in ordinals), strict=True)
            named = (by_index[0] if by_index else found.get(ordinal) for ordinal, by_index in known)
            return [name for name in named if name is not None]

        return ids

    def _count(self, todo: Sequence[Todo]) -> None:
        for one in todo:
            for group in one.audience.choice.groups:
                if group.outcome is Outcome.SEND and group.channel is not None:
                    self._metrics.count("deliveries_published", len(group.members), channel=group.channel)


def delivery_record(topics: Topics, batch: DeliveryBatch, encoder: BatchEncoder) -> Record:
    """The batch for the dispatcher. Its key spreads the chunks of one event over the partitions."""
    topic = topics.deliveries(batch.channel, batch.event.lane)
    return Record(topic, encoder.encode(batch), chunk_key(batch.event.eventid, batch.chunk))


def decision_record(topics: Topics, decision: DecisionChunk) -> Record:
    """The decision for whoever asks why."""
    return Record(topics.decisions, msgspec.json.encode(decision), decision.event_id.encode())


def _portions(routed: Sequence[tuple[Incoming, Audience]]) -> Iterator[list[tuple[Incoming, Audience]]]:
    portion: list[tuple[Incoming, Audience]] = []
    size = 0
    for incoming, audience in routed:
        portion.append((incoming, audience))
        size += sum(len(group.members) for group in audience.choice.groups)
        if size >= _PORTION:
            yield portion
            portion, size = [], 0
    if portion:
        yield portion
