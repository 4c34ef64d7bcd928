"""The HTTP provider contract that e-mail, SMS and push providers share (`*_PROVIDER_BASE_URL`): `POST {base}/send` with
a bearer key, the delivery id as `Idempotency-Key`, a JSON body; 2xx with `{"provider_message_id"}` back.

A provider may also say what it has: `GET {base}/messages?delivery_id=…` answers 2xx with an array of messages, each
with a `provider_message_id` (or `id`), empty when it has never seen that one. Needed for the policy `query` alone."""

from collections.abc import Collection
from datetime import timedelta
from typing import Any
from urllib.parse import quote

import msgspec

from libs.common.adapters.http import Answer, Outbound
from libs.common.clock import Clock
from libs.common.domain.channels import Channel
from libs.common.domain.outcome import Accepted, Outcome, Unknown
from services.dispatcher.channels.answers import read_answer
from services.dispatcher.channels.base import Message

_OURS_TO_MEND = frozenset({401, 403})
"""Our key is at fault, and no recipient: messages wait until that is mended, or somebody stands in."""


class ContractSender:
    """Sends by the contract. `provider` tells two of them apart."""

    def __init__(
        self,
        outbound: Outbound,
        base_url: str,
        api_key: str,
        deadline: timedelta,
        retryable: Collection[int],
        clock: Clock,
        provider: str = "http",
    ) -> None:
        self.provider = provider
        self._outbound = outbound
        self._base = base_url.rstrip("/")
        self._api_key = api_key
        self._deadline = deadline.total_seconds()
        self._retryable = frozenset(retryable) | _OURS_TO_MEND
        self._clock = clock

    async def send(self, message: Message) -> Outcome:
        """One call; see the table in `answers.py`."""
        headers = {
            **self._credentials(),
            "Content-Type": "application/json",
            "Idempotency-Key": message.delivery_id,
        }
        answer = await self._outbound.post(f"{self._base}/send", encode(message), headers, self._deadline)
        if not isinstance(answer, Answer):
            return answer
        return read_answer(answer, self._retryable, self._clock(), "provider_message_id")

    async def look_up(self, message: Message) -> Outcome | None:
        """What the provider has of a message: Accepted, None if it has never seen it, Unknown if it cannot say."""
        url = f"{self._base}/messages?delivery_id={quote(message.delivery_id, safe='')}"
        answer = await self._outbound.get(url, self._credentials(), self._deadline)
        if not isinstance(answer, Answer):
            return answer
        if not 200 <= answer.status < 300:
            return Unknown(f"http_{answer.status}")
        try:
            found = msgspec.json.decode(answer.body or b"", type=list[dict[str, Any]])
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return Unknown("unreadable_answer")
        if not found:
            return None
        return Accepted(str(found[0].get("provider_message_id") or found[0].get("id") or ""))

    def _credentials(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self._api_key}"} if self._api_key else {}


def encode(message: Message) -> bytes:
    """The contract's body: e-mail has a subject, push a title, SMS neither."""
    body: dict[str, object] = {
        "delivery_id": message.delivery_id,
        "channel": message.channel,
        "to": message.to,
        "body": message.text,
        "metadata": message.metadata,
    }
    if message.channel is Channel.EMAIL:
        body["subject"] = message.subject
        if message.html:
            body["html"] = message.html
        if message.unsubscribe_url:  # the contract has no place for headers
            body["metadata"] = {**message.metadata, "unsubscribe_url": message.unsubscribe_url}
    elif message.channel is Channel.PUSH:
        body["title"] = message.subject
    return msgspec.json.encode(body)
