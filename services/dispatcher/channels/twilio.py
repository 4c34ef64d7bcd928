"""SMS by Twilio (https://www.twilio.com/docs/messaging/api/message-resource).

Its error code says more than the status, so the table `_CODES` is asked first:

    answer                              outcome
    ----------------------------------  ----------------------------------------------------------
    201 with a sid                      Accepted
    2xx that cannot be read             Unknown: parked, since a second text costs money
    a code of the table                 what the table says
    statuses to be retried, 429         NotNow, with Retry-After
    401, 403                            NotNow: our account is at fault, no recipient
    other 5xx                           Unknown
    anything else                       Refused("twilio_<code>")

It knows no idempotency key.
"""

import base64
from collections.abc import Collection
from datetime import timedelta
from typing import Any
from urllib.parse import quote, urlencode

from libs.common.adapters.http import Answer, Outbound
from libs.common.clock import Clock
from libs.common.domain.outcome import Accepted, NotNow, Outcome, Refused, Unknown
from services.dispatcher.channels.answers import read_object, retry_after
from services.dispatcher.channels.base import Message

_LATER, _NEVER = NotNow, Refused

_CODES: dict[int, tuple[type[NotNow] | type[Refused], str]] = {
    # The number
    21211: (_NEVER, "invalid_number"),
    21214: (_NEVER, "number_not_reachable"),
    21217: (_NEVER, "invalid_number"),
    21219: (_NEVER, "number_not_verified"),  # a trial account
    21265: (_NEVER, "short_code_not_reachable"),
    21408: (_NEVER, "region_not_permitted"),
    21604: (_NEVER, "no_number"),
    21610: (_NEVER, "opted_out"),
    21612: (_NEVER, "number_not_reachable"),
    21614: (_NEVER, "not_a_mobile_number"),
    21635: (_NEVER, "not_a_mobile_number"),
    # The text
    21602: (_NEVER, "no_text"),
    21605: (_NEVER, "text_too_long"),
    21617: (_NEVER, "text_too_long"),
    # Too much at once
    14107: (_LATER, "rate_limited"),
    20429: (_LATER, "rate_limited"),
    21611: (_LATER, "queue_full"),
    30001: (_LATER, "queue_full"),
    30022: (_LATER, "rate_limited"),
    # Our account or sender: ours to mend, and no recipient's fault
    20003: (_LATER, "account_refused"),
    20005: (_LATER, "account_inactive"),
    20404: (_LATER, "account_unknown"),
    21603: (_LATER, "sender_refused"),
    21606: (_LATER, "sender_refused"),
    21659: (_LATER, "sender_refused"),
    21660: (_LATER, "sender_refused"),
    21703: (_LATER, "sender_refused"),
    30002: (_LATER, "account_suspended"),
    # Delivery failures that are known at once
    30003: (_LATER, "phone_unreachable"),
    30004: (_NEVER, "blocked"),
    30005: (_NEVER, "unknown_phone"),
    30006: (_NEVER, "landline"),
    30007: (_NEVER, "filtered"),
}
_OURS_TO_MEND = frozenset({401, 403})
_ALWAYS_RETRYABLE = frozenset({429})
_FAILED = frozenset({"failed", "undelivered", "canceled"})


class TwilioSender:
    """Sends by Twilio."""

    provider = "twilio"

    def __init__(
        self,
        outbound: Outbound,
        base_url: str,
        account: tuple[str, str],
        origin: dict[str, str],
        deadline: timedelta,
        retryable: Collection[int],
        clock: Clock,
        status_callback_url: str = "",
    ) -> None:
        """`account`: its sid and token. `origin`: the form fields that say whom a text is from."""
        sid = quote(account[0], safe="")
        self._outbound = outbound
        self._url = f"{base_url.rstrip('/')}/2010-04-01/Accounts/{sid}/Messages.json"
        self._headers = {
            "Content-Type": "application/x-www-form-urlencoded",
            "Authorization": "Basic " + base64.b64encode(":".join(account).encode()).decode(),
        }
        self._origin = origin
        self._deadline = deadline.total_seconds()
        self._retryable = frozenset(retryable) | _ALWAYS_RETRYABLE | _OURS_TO_MEND
        self._clock = clock
        self._callback = status_callback_url

    async def send(self, message: Message) -> Outcome:
        """One call; see the table above."""
        form = {"To": message.to, **self._origin, "Body": message.text}
        if self._callback:
            ids = urlencode({"delivery_id": message.delivery_id, "notification_id": message.notification_id})
            form["StatusCallback"] = f"{self._callback}{'&' if '?' in self._callback else '?'}{ids}"
        answer = await self._outbound.post(self._url, urlencode(form).encode(), self._headers, self._deadline)
        return self._read(answer) if isinstance(answer, Answer) else answer

    def _read(self, answer: Answer) -> Outcome:
        status, found = answer.status, read_object(answer.body)
        accepted = 200 <= status < 300
        if accepted and found is None:
            return Unknown("unreadable_answer")
        code = _code(found or {}, "error_code" if accepted else "code")
        wait = retry_after(answer.headers.get("Retry-After"), self._clock())
        if code in _CODES:
            kind, reason = _CODES[code]
            return NotNow(reason, wait) if kind is NotNow else Refused(reason)
        if accepted:
            return _taken(found or {}, code)
        # A 429 is told by its status whatever the code, so that the breaker knows it for what it is.
        reason = f"twilio_{code}" if code and status != 429 else f"http_{status}"
        if status in self._retryable:
            return NotNow(reason, wait)
        return Refused(reason) if 300 <= status < 500 else Unknown(reason)


def _taken(message: dict[str, Any], code: int | None) -> Outcome:
    if message.get("status") in _FAILED:
        return Refused(f"twilio_{code}" if code else "failed")
    sid = message.get("sid")
    return Accepted(sid[:256]) if isinstance(sid, str) and sid else Unknown("unreadable_answer")


def _code(found: dict[str, Any], field: str) -> int | None:
    code = found.get(field)
    return code if isinstance(code, int) else None
