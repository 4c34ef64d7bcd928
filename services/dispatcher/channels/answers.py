"""What an HTTP provider's answer means: one table, by status. A channel whose provider speaks otherwise has its own.

status                            outcome
--------------------------------  -----------------------------------------------------------
2xx with a JSON object            Accepted
2xx that cannot be read           Unknown: it may well have been sent
those that the operator lists     NotNow, with the provider's Retry-After
other 5xx                         Unknown: it broke, nobody knows where
3xx                               Refused: a redirect is never followed
other 4xx                         Refused
anything else                     Unknown
"""

from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

import msgspec

from libs.common.adapters.http import Answer
from libs.common.domain.outcome import Accepted, NotNow, Outcome, Refused, Unknown

_LONGEST_WAIT = timedelta(days=1)
"""A provider that asks for more is not believed; the longest retry tier bounds it further."""
_LONGEST_ID = 256


def read_answer(answer: Answer, retryable: Collection[int], now: datetime, id_field: str) -> Outcome:
    """The outcome; `id_field` names the provider's message id in its JSON."""
    status = answer.status
    if status in retryable:
        return NotNow(f"http_{status}", retry_after(answer.headers.get("Retry-After"), now))
    if 200 <= status < 300:
        found = read_object(answer.body)
        if found is None:
            return Unknown("unreadable_answer")
        return Accepted(str(found.get(id_field) or "")[:_LONGEST_ID])
    if 300 <= status < 500:
        return Refused(f"http_{status}")
    return Unknown(f"http_{status}")


def read_object(body: bytes | None) -> dict[str, Any] | None:
    """The JSON object in `body`, or None."""
    try:
        return msgspec.json.decode(body or b"", type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def retry_after(text: str | None, now: datetime) -> timedelta | None:
    """What a Retry-After header asks for, as seconds or an HTTP date (RFC 9110, 10.2.3); None for junk and the past.
    Clamped to a day."""
    text = (text or "").strip()
    if text.isascii() and text.isdigit():
        wait = timedelta(seconds=min(int(text[:9]) if len(text) <= 9 else 10**9, _LONGEST_WAIT.total_seconds()))
    else:
        try:
            date = parsedate_to_datetime(text)
        except (ValueError, TypeError, OverflowError, IndexError):
            return None
        wait = (date if date.tzinfo else date.replace(tzinfo=UTC)) - now
    return min(wait, _LONGEST_WAIT) if wait > timedelta() else None
