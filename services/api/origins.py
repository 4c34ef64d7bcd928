"""Finds an event on the log again: the router has recorded where it first saw it."""

from typing import Protocol

import msgspec

from libs.common.clock import Clock
from libs.common.domain.errors import InvalidInput
from libs.common.domain.intake import accept_record
from libs.common.domain.messages import Event
from libs.common.ports import Received
from libs.common.topics import Topics

_EVENTS = msgspec.json.Decoder(Event)


class Origins(Protocol):
    """Where events came from."""

    async def origin(self, tenant: str, event_id: str) -> str | None:
        """`topic/partition/offset` of the record in which the router first saw an event."""
        ...


class Records(Protocol):
    """The log, to be looked into."""

    async def find(self, topic: str, partition: int, offset: int) -> Received | None:
        """The record there; None when it is not on the log (any more)."""
        ...


class LoggedEvents:
    """Implements `ports.EventSource`."""

    def __init__(self, origins: Origins, records: Records, topics: Topics, clock: Clock) -> None:
        self._origins = origins
        self._records = records
        self._topics = topics
        self._clock = clock

    async def find(self, tenant: str, event_id: str) -> Event | None:
        """The event, if it is still on the log. Raises `Unavailable`."""
        origin = await self._origins.origin(tenant, event_id)
        if origin is None:
            return None
        topic, partition, offset = origin.rsplit("/", 2)
        record = await self._records.find(topic, int(partition), int(offset))
        event = self._read(record, tenant) if record is not None else None
        # A topic that was made anew may have another record at these coordinates.
        return event if event is not None and (event.tenant, event.eventid) == (tenant, event_id) else None

    def _read(self, record: Received, tenant: str) -> Event | None:
        try:
            if record.topic.startswith(self._topics.ingest_prefix):
                return accept_record(record.value, record.headers, tenant, self._clock())
            return _EVENTS.decode(record.value or b"")
        except (InvalidInput, msgspec.MsgspecError, UnicodeError, RecursionError):
            return None
