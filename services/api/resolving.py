"""Lets an operator decide about a delivery of which nobody can tell whether the provider took it: it was sent, it will
never be, or try again. Tries again only by way of the log, like everybody."""

from collections.abc import Sequence
from enum import StrEnum

import msgspec
import structlog

from libs.common.clock import Clock
from libs.common.domain.messages import RetryDelivery
from libs.common.domain.notifications import KeptDelivery
from libs.common.domain.retry import RetrySchedule
from libs.common.domain.states import State
from libs.common.ports import Log, Record
from libs.common.topics import Topics
from services.api.errors import NotFound, NotIn
from services.api.ports import EventSource, NotificationStore
from services.api.status import StatusLog

_log = structlog.get_logger(__name__)

REASON = "resolved_by_operator"
_FIRST_TIER = 1


class Resolution(StrEnum):
    """What an operator concludes."""

    SENT = "SENT"
    """The provider took it."""
    UNDELIVERABLE = "UNDELIVERABLE"
    """It did not, and shall not be asked again."""
    RETRY = "RETRY"
    """Ask again, with the same idempotency key; it may be a second time."""


class Resolving:
    """Ends UNKNOWN."""

    def __init__(
        self,
        store: NotificationStore,
        events: EventSource,
        log: Log,
        topics: Topics,
        schedule: RetrySchedule,
        status: StatusLog,
        clock: Clock,
    ) -> None:
        self._store = store
        self._events = events
        self._log = log
        self._topics = topics
        self._schedule = schedule
        self._status = status
        self._clock = clock

    async def resolve(self, tenant: str, delivery_id: str, resolution: Resolution, detail: str = "") -> KeptDelivery:
        """The delivery as it is then. Raises `NotFound`, `NotIn` unless it is UNKNOWN, `Unavailable`."""
        found = await self._store.delivery(tenant, delivery_id)
        if found is None:
            raise NotFound
        wanted = State.RETRYING if resolution is Resolution.RETRY else State(resolution)
        if found.state is not State.UNKNOWN:
            raise _not_unknown(found)
        if resolution is Resolution.RETRY:
            # The log first: a state that promises another attempt must never stand alone.
            await self._log.append(await self._retry(found))
        moved = await self._store.move(delivery_id, wanted, {State.UNKNOWN}, self._clock(), REASON, detail)
        if moved is None:
            raise _not_unknown(await self._store.delivery(tenant, delivery_id) or found)
        await self._status.tell([moved])
        _log.info("delivery.resolved", delivery_id=delivery_id, tenant=tenant, state=wanted)
        return moved

    async def _retry(self, delivery: KeptDelivery) -> Sequence[Record]:
        event = await self._events.find(delivery.tenant, delivery.event_id)
        if event is None:
            raise NotIn("Its event is not on the log any more: it cannot be sent again.")
        now = self._clock()
        retry = RetryDelivery(
            event=event,
            channel=delivery.channel,
            delivery_id=delivery.id,
            subscriber_id=delivery.subscriber_id,
            endpoint=delivery.endpoint,
            attempt=delivery.attempt + 1,
            due_at=now + self._schedule.delay(_FIRST_TIER),
            first_at=delivery.created_at,
            reason=REASON,
            generation=delivery.generation,
        )
        topic = self._topics.retry(delivery.channel, _FIRST_TIER)
        return [Record(topic, msgspec.json.encode(retry), delivery.id.encode())]


def _not_unknown(found: KeptDelivery) -> NotIn:
    return NotIn("Only what is UNKNOWN can be resolved.", extra={"state": found.state})
