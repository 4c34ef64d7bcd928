"""Ids are derived from what they identify, never drawn and never taken from Kafka coordinates: whoever computes one
again, after a crash or in a replay, gets the same one, and the unique `_id` in MongoDB makes the effect happen once."""

import hashlib
import json
import uuid

_NAMESPACE = uuid.UUID("5f0b2a2e-6c3b-5d0e-9d5c-0e1d5f3a7c11")


def _derive(*parts: object) -> str:
    # JSON keeps the parts apart: ("a", "bc") and ("ab", "c") must not meet.
    return str(uuid.uuid5(_NAMESPACE, json.dumps(parts, ensure_ascii=False, separators=(",", ":"))))


def event_id(tenant: str, source: str, source_id: str) -> str:
    """The id of an event. A tenant cannot collide with another; two sources of a tenant may use the same ids."""
    return _derive("event", tenant, source, source_id)


def notification_id(event: str, subscriber: str) -> str:
    """The id of one event for one subscriber."""
    return _derive("notification", event, subscriber)


def delivery_id(event: str, subscriber: str, channel: str, endpoint: str, generation: int = 0) -> str:
    """The id of a delivery: its document, its claim, and the provider's `Idempotency-Key`, equal on every attempt.

    The endpoint is in it since one notification goes to each of a subscriber's devices; the generation since only a
    forced replay, which mints the next one, may send twice. The attempt is not: all attempts are one delivery.
    """
    return _derive("delivery", event, subscriber, channel, endpoint, generation)


def chunk_key(event: str, chunk: int) -> bytes:
    """Partition key of a delivery batch: chunks of one large event spread over the partitions."""
    return f"{event}:{chunk}".encode()


def hold_id(event: str, channel: str, due_at: str, chunk: int, generation: int = 0) -> str:
    """The id of one chunk of held deliveries: a second run of the router finds it already there."""
    return _derive("hold", event, channel, due_at, chunk, generation)


def claim_id(tenant: str, route: str, key: str) -> str:
    """Where the answer to an idempotency key is kept. Scoped by tenant and route, never by the credential's text."""
    return hashlib.sha256(json.dumps([tenant, route, key]).encode()).hexdigest()


def fingerprint(body: bytes) -> str:
    """Tells a repeated request from another one under the same key; `body` is the canonical form."""
    return hashlib.sha256(body).hexdigest()
