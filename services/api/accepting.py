"""Accepts events: claim, append, answer. An event is accepted once the log has acknowledged it and never before; what
went wrong earlier is healed by the same request again, since ids are derived and claims promise nothing."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

import msgspec

from libs.common.clock import Clock
from libs.common.domain import keys
from libs.common.domain.claims import RequestClaim
from libs.common.domain.errors import Conflict, Flaw, InvalidInput
from libs.common.domain.intake import MAX_EVENT_BYTES, canonical
from libs.common.domain.json_values import MAX_FLAWS
from libs.common.domain.messages import Event
from libs.common.observability.metrics import Metrics
from libs.common.ports import Log, Record
from libs.common.topics import Topics
from services.api.claiming import Claims

ROUTE = "events"
"""The scope of idempotency keys and of events' own ids."""
_FROM_KEY = "idempotency-key"
_LARGEST = 2 * MAX_EVENT_BYTES
"""Of an event as it is written; escaping may make a body grow. The log takes 1 MiB with all headers."""

Accept = Callable[..., Event]
"""`accept_plain` or one of its likes with the sender's words filled in: takes `fallback_id` and `prefix`."""


class Events:
    """Takes events of one or many callers to the log."""

    def __init__(
        self,
        log: Log,
        claims: Claims,
        topics: Topics,
        metrics: Metrics,
        *,
        clock: Clock,
        new_id: Callable[[], str],
    ) -> None:
        self._log = log
        self._claims = claims
        self._topics = topics
        self._metrics = metrics
        self._clock = clock
        self._new_id = new_id

    def now(self) -> datetime:
        """The time of acceptance."""
        return self._clock()

    def fallback_id(self, tenant: str, key: str, index: int | None = None) -> str:
        """The id of an event that came without one: from the idempotency key, so that a repetition has the same; drawn
        when there is neither."""
        if not key:
            return self._new_id()
        return keys.event_id(tenant, _FROM_KEY, _place(key, index))

    async def accept(self, events: Sequence[Event], key: str, *, many: bool = False) -> None:
        """Bring these to the log, all or none accepted; `key` is the request's idempotency key, if it has one.

        Raises:
            InvalidInput: an event is too large for the log.
            Conflict: a key, or an event's source and id, was used for another body before.
            Unavailable: some may be on the log; the same request again heals it.
        """
        prefixes = [f"events[{index}]" if many else "body" for index in range(len(events))]
        values = encode(events, prefixes)
        await self._claim(events, key, prefixes, many)
        await self.append(events, values)

    async def append(self, events: Sequence[Event], values: Sequence[bytes]) -> None:
        """Bring events that are claimed, and the `values` that `encode` made of them, to the log. Raises
        `Unavailable`."""
        await self._log.append([self._record(event, value) for event, value in zip(events, values, strict=True)])
        for event in events:
            self._metrics.count("events_accepted", lane=event.lane)

    async def _claim(self, events: Sequence[Event], key: str, prefixes: Sequence[str], many: bool) -> None:
        now = self._clock()
        claims: list[RequestClaim] = []
        places: list[str] = []
        if key and many and events:
            # A key stands for the whole of a batch: its events one by one would let a longer one pass as a repetition.
            places.append("events")
            claims.append(_claim_of_batch(events, key, now))
        for index, event in enumerate(events):
            # The event's own identity too: the router keeps the first body under it, whatever key came along.
            for name in dict.fromkeys((_claim_key(event, "", None), _claim_key(event, key, index if many else None))):
                places.append(prefixes[index])
                claims.append(
                    RequestClaim(
                        id=keys.claim_id(event.tenant, ROUTE, name),
                        tenant=event.tenant,
                        fingerprint=keys.fingerprint(canonical(event)),
                        event_id=event.eventid,
                        created_at=now,
                    )
                )
        first: dict[str, RequestClaim] = {}
        for claim in claims:
            first.setdefault(claim.id, claim)
        there = {**first, **await self._claims.make(list(first.values()))}
        conflicts = dict.fromkeys(
            place
            for place, claim in zip(places, claims, strict=True)
            if there[claim.id].fingerprint != claim.fingerprint
        )
        if conflicts:
            said = "differs from what was sent under this key or id before"
            raise Conflict(*[Flaw(place, said) for place in conflicts][:MAX_FLAWS])

    def _record(self, event: Event, value: bytes) -> Record:
        headers: list[tuple[str, bytes | None]] = [("content-type", b"application/cloudevents+json")]
        if event.traceparent:
            headers.append(("traceparent", event.traceparent.encode()))
        return Record(self._topics.events(event.lane), value, event.eventid.encode(), tuple(headers))


def encode(events: Sequence[Event], prefixes: Sequence[str]) -> list[bytes]:
    """Events as they are written; `prefixes` name them. Raises InvalidInput for those that are too large for the
    log."""
    values = [msgspec.json.encode(event) for event in events]
    if large := [Flaw(p, "is too large") for p, v in zip(prefixes, values, strict=True) if len(v) > _LARGEST]:
        raise InvalidInput(*large[:MAX_FLAWS])
    return values


def accepted(event: Event) -> dict[str, Any]:
    """What the sender is told of an accepted event."""
    return {
        "id": event.eventid,
        "source": event.source,
        "source_id": event.id,
        "lane": event.lane,
        "status": "accepted",
    }


def _claim_key(event: Event, key: str, index: int | None) -> str:
    if not key:
        # JSON of two strings cannot meet another pair's, nor a header's key.
        return msgspec.json.encode([event.source, event.id]).decode()
    return f"key:{_place(key, index)}"


def _claim_of_batch(events: Sequence[Event], key: str, now: datetime) -> RequestClaim:
    return RequestClaim(
        id=keys.claim_id(events[0].tenant, ROUTE, f"batch:{key}"),
        tenant=events[0].tenant,
        fingerprint=keys.fingerprint(b"\n".join(canonical(event) for event in events)),
        event_id=events[0].eventid,
        created_at=now,
    )


def _place(key: str, index: int | None) -> str:
    """The only event under a key, or one of a batch; no key spells another's place."""
    return msgspec.json.encode([key] if index is None else [key, index]).decode()
