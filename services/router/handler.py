"""Routes events: who wants each, on which channel, when; and writes that down so that a crash at any step changes
nothing. Every step can be run again: ids, groups and chunk numbers come out the same."""

import asyncio
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime

import msgspec
import structlog

from libs.common.adapters.kafka.consuming import next_offsets
from libs.common.clock import Clock
from libs.common.dead_letters import dead_letter
from libs.common.domain.audience import Audience, choose_addressed, choose_matched
from libs.common.domain.errors import Poison
from libs.common.domain.index import IndexedSubscriber
from libs.common.domain.wishes import read_wishes
from libs.common.observability.metrics import Metrics
from libs.common.ports import Received, Record
from libs.common.topics import Topics
from services.router.finishing import Commit, Finisher
from services.router.live_index import LiveIndex
from services.router.ports import Accept, AudienceStore, SubscriberSource
from services.router.publishing import CONSUMER, Publisher
from services.router.reading import Incoming, read_accepted, read_ingested

_log = structlog.get_logger(__name__)

_LOGGED_IDS = 20
"""Event ids in the line of a poll; all of 500 would make it unreadable."""


class Poll(msgspec.Struct, eq=False):
    """What a poll brought: each event once, and the dead letters of what could not be read."""

    events: dict[str, Incoming] = {}
    letters: list[Record] = []


class Router:
    """From records to decisions and deliveries. Raises `Unavailable` when a step could not be made durable; the same
    records again are then right."""

    def __init__(
        self,
        live: LiveIndex,
        audiences: AudienceStore,
        subscribers: SubscriberSource,
        publisher: Publisher,
        finisher: Finisher,
        topics: Topics,
        metrics: Metrics,
        clock: Clock,
        accept: Accept,
    ) -> None:
        self._live = live
        self._audiences = audiences
        self._subscribers = subscribers
        self._publisher = publisher
        self._finisher = finisher
        self._topics = topics
        self._metrics = metrics
        self._clock = clock
        self._accept = accept

    async def handle(self, records: Sequence[Received], commit: Commit) -> None:
        """Route the events of one poll; it is committed soon after."""
        started = time.monotonic()
        poll = self._read(records)
        done = {key for key in poll.events if key in self._finisher}
        # Before it is known whether somebody chose already, which is seldom: this takes some µs, asking a round trip.
        chosen = await self._choose([one for key, one in poll.events.items() if key not in done])
        recorded, new = await self._record(chosen)
        done |= {key for key, audience in recorded.items() if audience.fanned_out}
        unfinished = [(one, recorded[key]) for key, one in poll.events.items() if key not in done]
        refused = await self._publisher.fan_out(self._live.index, unfinished, poll.letters)
        self._finisher.commit(commit, next_offsets(records))
        for audience in new:
            self._metrics.count("events_routed", lane=poll.events[audience.event_id].event.lane)
        self._metrics.count("dead_letters", len(poll.letters) + len(refused), consumer=CONSUMER)
        _log.info(
            "router.poll",
            records=len(records),
            events=len(poll.events),
            event_ids=list(poll.events)[:_LOGGED_IDS],
            recorded=len(new),
            written=len(unfinished) - len(refused),
            dead_letters=len(poll.letters) + len(refused),
            ms=round((time.monotonic() - started) * 1000, 1),
        )

    def _read(self, records: Sequence[Received]) -> Poll:
        now = self._now()
        poll = Poll()
        for record in records:
            try:
                incoming = self._read_one(record, now)
            except Poison as error:
                letter = dead_letter(record, self._topics.dead_letters, f"Poison: {error}", CONSUMER)
                poll.letters.append(letter)
            else:
                poll.events.setdefault(incoming.event.eventid, incoming)
        return poll

    def _read_one(self, record: Received, now: datetime) -> Incoming:
        if record.topic.startswith(self._topics.ingest_prefix):
            tenant = record.topic.removeprefix(self._topics.ingest_prefix)
            return read_ingested(record, tenant, self._accept, now)
        return read_accepted(record)

    async def _choose(self, incoming: Sequence[Incoming]) -> list[Audience]:
        """Everything that must be asked is asked first."""
        unindexed = await self._find_unindexed([one for one in incoming if one.event.data.recipients])
        audiences = []
        for one in incoming:
            await asyncio.sleep(0)  # heartbeats must not wait for 500 events
            event, index, position, now = one.event, self._live.index, self._live.position, self._now()
            if event.data.recipients:
                known = {**unindexed[event.tenant]}
                for name in event.data.recipients:
                    if (subscriber := index.subscriber(event.tenant, name)) is not None:
                        known[name] = subscriber
                choice = choose_addressed(event, known, now)
            else:
                choice = choose_matched(event, await self._live.match(event.tenant, one.fields), now)
            audiences.append(Audience(event.eventid, event.tenant, choice, position, one.record.origin, now))
        return audiences

    async def _find_unindexed(self, addressed: Sequence[Incoming]) -> Mapping[str, Mapping[str, IndexedSubscriber]]:
        """By tenant, the named recipients whom the index does not have (yet) but the database does."""
        index = self._live.index
        wanted: dict[str, set[str]] = defaultdict(set)
        for one in addressed:
            tenant = one.event.tenant
            wanted[tenant].update(name for name in one.event.data.recipients if index.subscriber(tenant, name) is None)
        found: dict[str, dict[str, IndexedSubscriber]] = defaultdict(dict)
        for tenant, names in wanted.items():
            for changed in await self._subscribers.find(tenant, names) if names else ():
                found[tenant][changed.subscriber_id] = read_wishes(changed)[0]
        return found

    async def _record(self, chosen: Sequence[Audience]) -> tuple[dict[str, Audience], list[Audience]]:
        """Put the choices on record. By event id what stands there now, which is another's choice where somebody was
        faster or the event comes again; and those of ours that stand."""
        if not chosen:
            return {}, []
        others = await self._audiences.record(chosen)
        mine = [audience for audience in chosen if audience.event_id not in others]
        self._count(mine)
        theirs = await self._audiences.recall(others) if others else {}
        return {audience.event_id: audience for audience in mine} | theirs, mine

    def _count(self, audiences: Sequence[Audience]) -> None:
        for audience in audiences:
            for group in audience.choice.groups:
                amount = len(group.members) or 1  # NO_MATCH has no members; the event is counted
                self._metrics.count("decisions", amount, outcome=group.outcome, reason=group.reason)

    def _now(self) -> datetime:
        """In whole milliseconds, as the database gives it back."""
        now = self._clock()
        return now.replace(microsecond=now.microsecond // 1000 * 1000)
