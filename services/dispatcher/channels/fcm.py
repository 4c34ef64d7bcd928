"""Push by Firebase Cloud Messaging, HTTP v1
(https://firebase.google.com/docs/reference/fcm/rest/v1/projects.messages/send).

    answer                              outcome
    ----------------------------------  ----------------------------------------------------------
    200 with a name                     Accepted
    2xx that cannot be read             Unknown
    UNREGISTERED                        Refused("unregistered"): the device's token is removed
    404 without that word               Refused: a wrong URL must not cost every device its token
    SENDER_ID_MISMATCH                  Refused: the token belongs to another project
    INVALID_ARGUMENT, other 4xx         Refused
    401                                 once more with a new access token, then NotNow
    403                                 NotNow: our account is at fault, no device
    QUOTA_EXCEEDED, 429                 NotNow, with Retry-After
    UNAVAILABLE, statuses to be retried NotNow, with Retry-After
    other 5xx                           Unknown
    no access token to be had           NotNow: nothing was sent

It knows no idempotency key: a repeated message replaces its twin on the device's screen.
"""

import asyncio
from collections.abc import Collection
from datetime import timedelta
from typing import Any, Protocol

import msgspec

from libs.common.adapters.http import Answer, Outbound
from libs.common.clock import Clock
from libs.common.domain.outcome import Accepted, NotNow, Outcome, Refused, Unknown
from services.dispatcher.channels.answers import read_object, retry_after
from services.dispatcher.channels.base import Message

SCOPE = "https://www.googleapis.com/auth/firebase.messaging"
_SHORTEST = 0.05
"""Seconds: with less left of the deadline, no call is begun."""
_LATER = frozenset({"QUOTA_EXCEEDED", "UNAVAILABLE", "THIRD_PARTY_AUTH_ERROR"})
_ALWAYS_RETRYABLE = frozenset({401, 403, 429})


class Tokens(Protocol):
    """Where access tokens come from."""

    async def get(self, refused: str = "") -> str | NotNow:
        """A token other than the one that was `refused`, or why there is none."""
        ...


class FcmSender:
    """Sends by Firebase."""

    provider = "fcm"

    def __init__(
        self,
        outbound: Outbound,
        base_url: str,
        project: str,
        tokens: Tokens,
        deadline: timedelta,
        retryable: Collection[int],
        clock: Clock,
    ) -> None:
        self._outbound = outbound
        self._url = f"{base_url.rstrip('/')}/v1/projects/{project}/messages:send"
        self._tokens = tokens
        self._deadline = deadline.total_seconds()
        self._retryable = frozenset(retryable) | _ALWAYS_RETRYABLE
        self._clock = clock

    async def send(self, message: Message) -> Outcome:
        """One call, two when the access token is refused; see the table above."""
        until = asyncio.get_running_loop().time() + self._deadline
        body, refused = encode(message), ""
        while True:
            token = await self._tokens.get(refused)
            left = until - asyncio.get_running_loop().time()
            if not isinstance(token, str):
                return token
            if left < _SHORTEST:
                return NotNow("token_timeout")
            headers = {"Content-Type": "application/json", "Authorization": f"Bearer {token}"}
            answer = await self._outbound.post(self._url, body, headers, left)
            if not isinstance(answer, Answer):
                return answer
            if answer.status == 401 and not refused and not error_code(read_object(answer.body) or {}):
                refused = token
                continue
            return self._read(answer)

    def _read(self, answer: Answer) -> Outcome:
        status, found = answer.status, read_object(answer.body)
        if 200 <= status < 300:
            name = (found or {}).get("name")
            return Accepted(name[:256]) if isinstance(name, str) and name else Unknown("unreadable_answer")
        code = error_code(found or {})
        if code == "UNREGISTERED":
            return Refused("unregistered", endpoint_gone=True)
        if code == "SENDER_ID_MISMATCH":
            return Refused("sender_id_mismatch")
        if code in _LATER or status in self._retryable:
            return NotNow(
                code.lower() or f"http_{status}", retry_after(answer.headers.get("Retry-After"), self._clock())
            )
        if 300 <= status < 500:
            return Refused(code.lower() or f"http_{status}")
        return Unknown(f"http_{status}")


def encode(message: Message) -> bytes:
    """The request's body. `tag` and `apns-collapse-id` make a repeated message replace the one before it."""
    return msgspec.json.encode(
        {
            "message": {
                "token": message.to,
                "notification": {"title": message.subject, "body": message.text},
                "data": {"delivery_id": message.delivery_id, **message.metadata},
                "android": {"notification": {"tag": message.delivery_id}},
                "apns": {"headers": {"apns-collapse-id": message.delivery_id}},
            }
        }
    )


def error_code(found: dict[str, Any]) -> str:
    """Firebase's own code among the details of Google's error; empty when there is none."""
    error = found.get("error")
    details = error.get("details") if isinstance(error, dict) else None
    codes = [each.get("errorCode") for each in details if isinstance(each, dict)] if isinstance(details, list) else []
    return next((code for code in codes if isinstance(code, str)), "")
