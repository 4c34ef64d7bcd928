"""WEBHOOK: an event as JSON to a customer's URL, signed by Standard Webhooks
(https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md).

    answer                              outcome
    ----------------------------------  ----------------------------------------------------------
    2xx, whatever its body              Accepted
    410                                 Refused("gone"): the webhook is disabled
    408, 409, 425, 429, and statuses    NotNow, with Retry-After
    to be retried
    3xx                                 Refused: a redirect is never followed
    other 4xx                           Refused
    other 5xx                           Unknown: sent again, with the same `webhook-id`
    an address that is not public       Refused("blocked_address"), before anything is sent
    a URL that no webhook may have      Refused("blocked_url")
"""

import base64
import hashlib
import hmac
from collections.abc import Collection, Sequence
from datetime import timedelta

import msgspec

from libs.common.adapters.http import Answer, Outbound
from libs.common.clock import Clock
from libs.common.domain.outcome import Accepted, NotNow, Outcome, Refused, Unknown
from services.dispatcher.channels.answers import retry_after
from services.dispatcher.channels.base import Message, Sender
from services.dispatcher.channels.retiring import Retiring
from services.dispatcher.channels.tools import Tools
from services.dispatcher.settings import Settings

_GONE = 410
_ALWAYS_RETRYABLE = frozenset({408, 409, 425, 429})
_PREFIX = "whsec_"


class WebhookSender:
    """Sends to customers' URLs."""

    provider = "webhook"

    def __init__(self, outbound: Outbound, deadline: timedelta, retryable: Collection[int], clock: Clock) -> None:
        """`outbound` must be guarded: the URLs are the customers'."""
        self._outbound = outbound
        self._deadline = deadline.total_seconds()
        self._retryable = frozenset(retryable) | _ALWAYS_RETRYABLE
        self._clock = clock

    async def send(self, message: Message) -> Outcome:
        """One call; see the table above."""
        if not message.secrets:
            return Refused("no_secret")  # a receiver could not tell it from anybody's
        body = encode(message)
        stamp = str(int(self._clock().timestamp()))
        try:
            signature = sign(message.secrets, message.delivery_id, stamp, body)
        except ValueError:
            return Refused("invalid_secret")
        headers = {
            "Content-Type": "application/json",
            "webhook-id": message.delivery_id,
            "webhook-timestamp": stamp,
            "webhook-signature": signature,
        }
        answer = await self._outbound.post(message.to, body, headers, self._deadline)
        return self._read(answer) if isinstance(answer, Answer) else answer

    def _read(self, answer: Answer) -> Outcome:
        status = answer.status
        if 200 <= status < 300:
            return Accepted()
        if status == _GONE:
            return Refused("gone", endpoint_gone=True)
        if status in self._retryable:
            return NotNow(f"http_{status}", retry_after(answer.headers.get("Retry-After"), self._clock()))
        return Refused(f"http_{status}") if 300 <= status < 500 else Unknown(f"http_{status}")


def encode(message: Message) -> bytes:
    """The body: the same bytes on every attempt, since nothing in it is of the attempt."""
    event = message.event
    return msgspec.json.encode(
        {
            "type": event.type,
            "timestamp": event.time,
            "data": {
                "notification_id": message.notification_id,
                "event_id": event.eventid,
                "topic": event.topic,
                "priority": event.priority,
                "category": event.category,
                "title": message.subject,
                "content": message.text,
                "data": event.data.data,
            },
        }
    )


def sign(secrets: Sequence[str], identity: str, stamp: str, body: bytes) -> str:
    """One signature for each secret, so that receivers can change theirs at leisure. Raises ValueError when one is no
    base64."""
    signed = b".".join((identity.encode(), stamp.encode(), body))
    keys = [base64.b64decode(secret.removeprefix(_PREFIX), validate=True) for secret in secrets]
    digests = [hmac.new(key, signed, hashlib.sha256).digest() for key in keys]
    return " ".join(f"v1,{base64.b64encode(digest).decode()}" for digest in digests)


def providers(settings: Settings, tools: Tools) -> list[Sender]:
    """The channel's one sender: customers are their own providers."""
    common = settings.provider
    sender = WebhookSender(tools.guarded, common.timeout, common.retryable_status_codes, tools.clock)
    return [Retiring(sender, tools.endpoints)]
