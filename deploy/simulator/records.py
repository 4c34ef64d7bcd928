"""What is remembered of a request: what was sent, the message it became, and the attempt it was. Plain data."""

from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from msgspec import Struct

from deploy.simulator.rules import Channel

Served = Literal["pending", "accept", "reject", "drop", "hang"]
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Submission(Struct, kw_only=True):
    """What a sender asked for, read from whatever protocol it spoke."""

    to: tuple[str, ...]
    body: str
    subject: str | None = None
    title: str | None = None
    html: str | None = None
    key: str | None = None
    delivery_id: str | None = None
    metadata: dict[str, Any] = {}
    headers: dict[str, str] = {}
    verification: str | None = None
    size: int = 0  # bytes of the request: what remembering it may cost


class Message(Struct, kw_only=True):
    """What arrived: one effect. `attempts` counts the requests with its idempotency key so far, refused ones too."""

    id: str
    at: str
    at_ns: int
    channel: Channel
    protocol: str
    to: str
    subject: str | None
    title: str | None
    body: str
    html: str | None
    idempotency_key: str | None
    delivery_id: str | None
    metadata: dict[str, Any]
    headers: dict[str, str]
    verification: str | None
    attempts: int


class Attempt(Struct, kw_only=True):
    """One request, before any deduplication. `served` is what came of it; times are UTC and epoch nanoseconds.

    `accepted`: the provider took the message (told or not); `effect`: and it was new. `fault` is the rule that
    met it, `status` the code answered, if any was.
    """

    seq: int
    at: str
    at_ns: int
    answered_at: str | None = None
    answered_ns: int | None = None
    channel: Channel
    protocol: str
    to: str | None = None
    idempotency_key: str | None = None
    delivery_id: str | None = None
    attempt: int = 1
    served: Served = "pending"
    status: int | None = None
    accepted: bool = False
    effect: bool = False
    fault: str | None = None
    fault_kind: str | None = None
    message_id: str | None = None
    verification: str | None = None
    reason: str | None = None
    body_sha256: str = ""


def rfc3339(ns: int) -> str:
    """UTC with microseconds: 2026-01-31T10:00:00.000001Z."""
    return (_EPOCH + timedelta(microseconds=ns // 1000)).isoformat(timespec="microseconds").replace("+00:00", "Z")


def nanoseconds(text: str) -> int:
    """Read an aware RFC 3339 time, or epoch nanoseconds; raise ValueError when it is neither."""
    if text.isascii() and text.isdigit() and len(text) <= 20:
        return int(text)
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError("a time without its zone")
    return ((moment - _EPOCH) // timedelta(microseconds=1)) * 1000
