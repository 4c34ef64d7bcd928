"""E-mail by SendGrid (https://www.twilio.com/docs/sendgrid/api-reference/mail-send/mail-send).

    answer                              outcome
    ----------------------------------  ----------------------------------------------------------
    2xx (its 202 has no body)           Accepted, with the X-Message-Id
    401, 403                            NotNow: our key or sender is at fault, no recipient
    statuses to be retried, 429         NotNow, after Retry-After or X-RateLimit-Reset
    other 5xx                           Unknown
    anything else                       Refused

It knows no idempotency key: a repeated mail has the same `delivery_id` among its custom arguments.
"""

from collections.abc import Collection, Mapping
from datetime import UTC, datetime, timedelta

import msgspec

from libs.common.adapters.http import Answer, Outbound
from libs.common.clock import Clock
from libs.common.domain.outcome import Accepted, NotNow, Outcome, Refused, Unknown
from services.dispatcher.channels.answers import retry_after
from services.dispatcher.channels.base import Message

_OURS_TO_MEND = frozenset({401, 403})
_ALWAYS_RETRYABLE = frozenset({429})


class SendGridSender:
    """Sends by SendGrid."""

    provider = "sendgrid"

    def __init__(
        self,
        outbound: Outbound,
        base_url: str,
        api_key: str,
        author: str,
        deadline: timedelta,
        retryable: Collection[int],
        clock: Clock,
    ) -> None:
        self._outbound = outbound
        self._url = base_url.rstrip("/") + "/v3/mail/send"
        self._headers = {"Content-Type": "application/json", "Authorization": f"Bearer {api_key}"}
        self._author = author
        self._deadline = deadline.total_seconds()
        self._retryable = frozenset(retryable) | _ALWAYS_RETRYABLE | _OURS_TO_MEND
        self._clock = clock

    async def send(self, message: Message) -> Outcome:
        """One call; see the table above."""
        answer = await self._outbound.post(self._url, encode(message, self._author), self._headers, self._deadline)
        if not isinstance(answer, Answer):
            return answer
        status, now = answer.status, self._clock()
        if 200 <= status < 300:
            return Accepted(answer.headers.get("X-Message-Id", "")[:256])
        if status in self._retryable:
            wait = retry_after(answer.headers.get("Retry-After"), now) or _reset(answer.headers, now)
            return NotNow(f"http_{status}", wait)
        return Unknown(f"http_{status}") if status >= 500 or status < 300 else Refused(f"http_{status}")


def encode(message: Message, author: str) -> bytes:
    """The request's body. SendGrid wants the plain text before the HTML, and no part of it empty."""
    content = [{"type": "text/plain", "value": message.text or message.subject}]
    if message.html:
        content.append({"type": "text/html", "value": message.html})
    return msgspec.json.encode(
        {
            "personalizations": [
                {
                    "to": [{"email": message.to}],
                    "custom_args": {"delivery_id": message.delivery_id, **message.metadata},
                }
            ],
            "from": {"email": author},
            "subject": message.subject,
            "content": content,
            **({"headers": message.headers} if message.headers else {}),
        }
    )


def _reset(headers: Mapping[str, str], now: datetime) -> timedelta | None:
    """How long until the limit that X-RateLimit-Reset (seconds since 1970) tells of is lifted."""
    text = headers.get("X-RateLimit-Reset", "")
    if not (text.isascii() and text.isdigit() and len(text) <= 11):
        return None
    wait = datetime.fromtimestamp(min(int(text), 2**33), UTC) - now
    return min(wait, timedelta(days=1)) if wait > timedelta() else None
