"""Numbers on the log that nothing could store are unreadable, not a defect met again and again."""

import json
from typing import Any

import msgspec
import pytest

from libs.common.domain.messages import BatchEncoder, DeliveryBatch, RetryDelivery, SubscriberChanged

EVENT = {"id": "1", "source": "/s", "time": "2024-05-01T12:00:00Z", "tenant": "acme", "eventid": "e"}
TIMES = {"due_at": "2024-05-01T12:00:00Z", "first_at": "2024-05-01T12:00:00Z"}
BATCH = {"event": EVENT, "channel": "EMAIL", "subscribers": ["a"]}
RETRY = {
    "event": EVENT,
    "channel": "EMAIL",
    "delivery_id": "d",
    "subscriber_id": "a",
    "endpoint": "main",
    "attempt": 2,
    **TIMES,
}
CHANGED = {"tenant": "acme", "subscriber_id": "a", "ordinal": 1, "version": 1, "active": True}


@pytest.mark.parametrize(
    ("kind", "good", "field", "value"),
    [
        (DeliveryBatch, BATCH, "generation", 2**63),
        (DeliveryBatch, BATCH, "chunk", -1),
        (RetryDelivery, RETRY, "attempt", 2**63),
        (RetryDelivery, RETRY, "generation", 2**31),
        (SubscriberChanged, CHANGED, "ordinal", 2**33),
        (SubscriberChanged, CHANGED, "ordinal", -1),
        (SubscriberChanged, CHANGED, "version", 2**80),
    ],
)
def test_a_number_out_of_range_cannot_be_read(kind: Any, good: dict[str, Any], field: str, value: int) -> None:
    assert msgspec.json.decode(json.dumps(good), type=kind)
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(json.dumps({**good, field: value}), type=kind)


def test_a_batch_is_written_the_same_whoever_shares_its_event() -> None:
    encoder = BatchEncoder()
    first, other = (msgspec.convert({**BATCH, "event": {**EVENT, "id": name}}, DeliveryBatch) for name in "ab")
    second = msgspec.structs.replace(first, subscribers=("b",), chunk=1)

    for batch in (first, second, other, first):
        assert encoder.encode(batch) == msgspec.json.encode(batch)
