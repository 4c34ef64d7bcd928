"""Reads records into deliveries to attempt, or refuses them as poison. Every check that can be made without asking
anybody is made here, so that nothing later meets a value that it cannot work with."""

from datetime import UTC, datetime, timedelta
from typing import TypeVar

import msgspec

from libs.common.domain import keys
from libs.common.domain.channels import EVERY_ENDPOINT, MAIN_ENDPOINT, SEVERAL_ENDPOINTS, Channel
from libs.common.domain.deliveries import Work
from libs.common.domain.errors import Poison
from libs.common.domain.messages import DeliveryBatch, Event, RetryDelivery
from libs.common.domain.record_headers import check_headers
from libs.common.ports import Headers, Received

M = TypeVar("M")

_LONGEST_TIER = timedelta(days=7)
"""What a record may have been given by an earlier, longer schedule."""
_CLOCKS_APART = timedelta(minutes=5)
"""How far the clocks of two dispatchers may differ."""

_BATCHES = msgspec.json.Decoder(DeliveryBatch)
_RETRIES = msgspec.json.Decoder(RetryDelivery)


def read_batch(value: bytes | None, headers: Headers, channel: Channel) -> tuple[Work, ...]:
    """The deliveries of a DeliveryBatch, each subscriber once; where a subscriber can have several endpoints, one to
    `EVERY_ENDPOINT` stands for them all (`expansion.py`). Raises `Poison`."""
    batch = _decode(_BATCHES, value, headers)
    _check(batch.event, batch.channel, channel, batch.generation)
    endpoint = EVERY_ENDPOINT if channel in SEVERAL_ENDPOINTS else MAIN_ENDPOINT
    return tuple(
        Work(
            batch.event,
            channel,
            subscriber,
            keys.delivery_id(batch.event.eventid, subscriber, channel, endpoint, batch.generation),
            endpoint,
            generation=batch.generation,
        )
        for subscriber in dict.fromkeys(batch.subscribers)
    )


def read_retry(value: bytes | None, headers: Headers, channel: Channel) -> tuple[Work, datetime]:
    """The delivery of a RetryDelivery, and when it is due. Raises `Poison`."""
    retry = _decode(_RETRIES, value, headers)
    _check(retry.event, retry.channel, channel, retry.generation)
    if retry.attempt < 1:
        raise Poison(f"attempt {retry.attempt} is not counted from 1")
    if retry.endpoint == EVERY_ENDPOINT:
        raise Poison("a retry is for one endpoint")
    _aware("due_at", retry.due_at)
    _aware("first_at", retry.first_at)
    derived = keys.delivery_id(retry.event.eventid, retry.subscriber_id, channel, retry.endpoint, retry.generation)
    if retry.delivery_id != derived:
        raise Poison("delivery_id is not that of this event, subscriber and endpoint")
    work = Work(
        retry.event,
        channel,
        retry.subscriber_id,
        retry.delivery_id,
        retry.endpoint,
        retry.generation,
        retry.attempt,
        retry.first_at,
    )
    return work, retry.due_at


def read_retry_record(channel: Channel, longest_tier: timedelta, record: Received) -> tuple[Work, datetime]:
    """The delivery of a record in a retry topic, and when it is due. Raises `Poison`, also for one that is due later
    than any tier delays: at the head of its partition it would keep everything behind it for as long."""
    work, due = read_retry(record.value, record.headers, channel)
    try:
        written = datetime.fromtimestamp(record.timestamp_ms / 1000, UTC)
    except (ValueError, OverflowError, OSError):
        raise Poison("written at no time that exists") from None
    if due > written + max(longest_tier, _LONGEST_TIER) + _CLOCKS_APART:
        raise Poison("due later than any tier")
    return work, due


def _decode(decoder: msgspec.json.Decoder[M], value: bytes | None, headers: Headers) -> M:
    if value is None:
        raise Poison("a tombstone where a delivery is expected")
    check_headers(headers)
    try:
        return decoder.decode(value)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Poison(str(error)) from error


def _check(event: Event, found: Channel, expected: Channel, generation: int) -> None:
    if found is not expected:
        raise Poison(f"a delivery for {found} in a topic of {expected}")
    if generation < 0:
        raise Poison("generation is negative")
    _aware("event.time", event.time)
    _aware("event.expiresat", event.expiresat)


def _aware(name: str, instant: datetime | None) -> None:
    if instant is not None and instant.tzinfo is None:
        raise Poison(f"{name} has no time zone")
