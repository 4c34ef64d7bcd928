"""Web push (RFC 8030) to a browser's subscription, `{"endpoint", "keys": {"p256dh", "auth"}}`, which serves as the
device's token. The text is encrypted for the browser (RFC 8291); the push service sees its length and
who we are (RFC 8292).

    answer                              outcome
    ----------------------------------  ----------------------------------------------------------
    2xx                                 Accepted, with the Location
    404, 410                            Refused("unregistered"): the subscription is removed
    statuses to be retried, 429         NotNow, with Retry-After
    other 5xx                           Unknown
    anything else                       Refused
    an address that is not public       Refused: browsers' words are not to be trusted

It knows no idempotency key: a repeated message replaces its twin while the push service holds it (`Topic`).
"""

import os
from collections.abc import Collection
from datetime import datetime, timedelta

import http_ece
import msgspec
from cryptography.hazmat.primitives.asymmetric import ec

from libs.common.adapters.http import Answer, Outbound
from libs.common.adapters.vapid import Vapid, decode
from libs.common.clock import Clock
from libs.common.domain.channels import Lane
from libs.common.domain.outcome import Accepted, NotNow, Outcome, Refused, Unknown
from services.dispatcher.channels.answers import retry_after
from services.dispatcher.channels.base import Message

_LONGEST = 3993
"""Bytes of plain text: encrypted, that is the 4096 which every push service takes (RFC 8291, 4)."""
_LONGEST_TTL = timedelta(days=28)
_GONE = frozenset({404, 410})
_ALWAYS_RETRYABLE = frozenset({429})
_URGENCY = {Lane.CRITICAL: "high", Lane.STANDARD: "normal", Lane.BULK: "low"}


class _Keys(msgspec.Struct):
    p256dh: str
    auth: str


class _Subscription(msgspec.Struct):
    endpoint: str
    keys: _Keys


_SUBSCRIPTIONS = msgspec.json.Decoder(_Subscription)


def is_subscription(token: str) -> bool:
    """Whether a device's token is a browser's subscription."""
    return token.lstrip().startswith("{")


class WebPushSender:
    """Sends to browsers."""

    provider = "webpush"

    def __init__(
        self, outbound: Outbound, vapid: Vapid, deadline: timedelta, retryable: Collection[int], clock: Clock
    ) -> None:
        """`outbound` must be guarded: the URL comes from the browser."""
        self._outbound = outbound
        self._vapid = vapid
        self._deadline = deadline.total_seconds()
        self._retryable = frozenset(retryable) | _ALWAYS_RETRYABLE
        self._clock = clock

    async def send(self, message: Message) -> Outcome:
        """One call; see the table above."""
        now = self._clock()
        try:
            subscription = _SUBSCRIPTIONS.decode(message.to)
            keys = subscription.keys
            body = encrypt(encode(message), decode(keys.p256dh), decode(keys.auth))
            authorization = self._vapid.authorization(subscription.endpoint, now)
        except (msgspec.DecodeError, ValueError):
            return Refused("invalid_subscription")
        headers = {
            "Content-Type": "application/octet-stream",
            "Content-Encoding": "aes128gcm",
            "Authorization": authorization,
            "TTL": str(_ttl(message, now)),
            "Urgency": _URGENCY[message.event.lane],
            "Topic": message.delivery_id.replace("-", "")[:32],
        }
        answer = await self._outbound.post(subscription.endpoint, body, headers, self._deadline)
        return self._read(answer) if isinstance(answer, Answer) else answer

    def _read(self, answer: Answer) -> Outcome:
        status = answer.status
        if 200 <= status < 300:
            return Accepted(answer.headers.get("Location", "")[:256])
        if status in _GONE:
            return Refused("unregistered", endpoint_gone=True)
        if status in self._retryable:
            return NotNow(f"http_{status}", retry_after(answer.headers.get("Retry-After"), self._clock()))
        return Refused(f"http_{status}") if 300 <= status < 500 else Unknown(f"http_{status}")


def encode(message: Message) -> bytes:
    """What the browser's service worker gets. A text that is too long is cut: a notice of part of it is better than
    none of it."""
    text = message.text
    while True:
        body = msgspec.json.encode({"title": message.subject, "body": text, "data": message.metadata})
        if len(body) <= _LONGEST or not text:
            return body[:_LONGEST]
        # An excess of bytes is at most six to a character (a JSON escape), and at least one.
        text = text[: max(0, len(text) - 1 - (len(body) - _LONGEST + 5) // 6)]


def encrypt(text: bytes, public_key: bytes, secret: bytes) -> bytes:
    """The text for the owner of `public_key`, by a key of this message's own. Raises ValueError."""
    try:
        encrypted: bytes = http_ece.encrypt(
            text,
            salt=os.urandom(16),
            private_key=ec.generate_private_key(ec.SECP256R1()),
            dh=public_key,
            auth_secret=secret,
            version="aes128gcm",
        )
    except http_ece.ECEException as error:
        raise ValueError("cannot be encrypted for") from error
    return encrypted


def _ttl(message: Message, now: datetime) -> int:
    """Seconds for which the push service keeps it for a browser that is away."""
    expires = message.event.expiresat
    wait = _LONGEST_TTL if expires is None else min(_LONGEST_TTL, expires - now)
    return max(0, int(wait.total_seconds()))
