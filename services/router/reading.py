"""Reads records into events, or refuses them as poison. Every check that can be made without asking anybody is made
here, so that nothing later meets a value that it cannot work with: what fails later would come again forever."""

from datetime import datetime

import msgspec

from libs.common.domain.errors import InvalidInput, Poison
from libs.common.domain.event_words import MAX_RECIPIENTS
from libs.common.domain.json_values import unstorable
from libs.common.domain.keys import event_id
from libs.common.domain.messages import Event
from libs.common.domain.pattern import Fields, InvalidEvent, flatten
from libs.common.domain.record_headers import check_headers
from libs.common.ports import Received
from libs.common.topics import LARGEST_RECORD
from services.router.ports import Accept

_EVENTS = msgspec.json.Decoder(Event)


class Incoming(msgspec.Struct, frozen=True, eq=False):
    """An event to route, what filters see of it, and the record that it came in."""

    event: Event
    fields: Fields
    record: Received


def read_accepted(record: Received) -> Incoming:
    """An event that the API accepted; the tenant in it is true, since only the API writes there. Raises `Poison`."""
    check_headers(record.headers)
    if record.value is None:
        raise Poison("a tombstone where an event is expected")
    if len(record.value) > LARGEST_RECORD:
        raise Poison(f"more than {LARGEST_RECORD} bytes")  # it came packed; unpacked it fits no record of ours
    try:
        event = _EVENTS.decode(record.value)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise Poison(f"not an event: {error}") from error
    return _checked(event, record)


def read_ingested(record: Received, tenant: str, accept: Accept, now: datetime) -> Incoming:
    """An event that `tenant` produced itself. The tenant is the topic's: whatever the record claims changes nothing.
    Raises `Poison`."""
    try:
        event = accept(record.value, record.headers, tenant, now)
    except InvalidInput as error:
        raise Poison(str(error)) from error
    if event.tenant != tenant:
        raise Poison("the event is not of the topic's tenant")
    return _checked(event, record)


def _checked(event: Event, record: Received) -> Incoming:
    if event.specversion != "1.0":
        raise Poison(f"unknown specversion {event.specversion!r}")
    for name in ("time", "releasetime", "expiresat"):
        _check_aware(name, getattr(event, name))
    if len(event.data.recipients) > MAX_RECIPIENTS:
        raise Poison(f"more than {MAX_RECIPIENTS} recipients")
    if flaws := [*unstorable(event.data.data, "data"), *unstorable(event.data.variables, "variables")]:
        raise Poison(str(InvalidInput(*flaws)))
    try:
        if event.eventid != event_id(event.tenant, event.source, event.id):
            raise Poison("eventid is not that of this tenant, source and id")
        return Incoming(event, flatten(event.facts()), record)
    except (InvalidEvent, UnicodeError, RecursionError) as error:
        raise Poison(f"not an event: {error}") from error


def _check_aware(name: str, instant: datetime | None) -> None:
    if instant is not None and instant.tzinfo is None:
        raise Poison(f"{name} has no time zone")
