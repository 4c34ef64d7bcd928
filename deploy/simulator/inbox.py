"""What the provider knows: messages, attempts, and which keys it has seen. Bounded; in memory; no I/O."""

import asyncio
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

from deploy.simulator.records import Attempt, Message, Served, Submission, rfc3339
from deploy.simulator.rules import Channel

Listener = Callable[[Message | None], None]


class _Key:
    """What is known of an idempotency key: how many requests bore it, and which message it became."""

    __slots__ = ("attempts", "message_id")

    def __init__(self) -> None:
        self.attempts = 0
        self.message_id: str | None = None


class Inbox:
    """The newest come last. Whatever exceeds the bounds is forgotten from the front."""

    def __init__(self, keep: int = 50_000, keep_bytes: int = 256 * 2**20, keep_keys: int = 200_000) -> None:
        self._messages: OrderedDict[str, Message] = OrderedDict()
        self._sizes: deque[int] = deque()  # of the messages, in the same order
        self._attempts: deque[Attempt] = deque(maxlen=keep)
        self._keys: OrderedDict[tuple[Channel, str], _Key] = OrderedDict()
        self._keep, self._keep_bytes, self._keep_keys = keep, keep_bytes, keep_keys
        self._bytes = 0
        self._seq = 0
        self.clears = 0
        self._totals = {"attempts": 0, "accepts": 0, "effects": 0}
        self._listeners: set[Listener] = set()

    @property
    def messages(self) -> list[Message]:
        """What arrived, oldest first."""
        return list(self._messages.values())

    @property
    def attempts(self) -> list[Attempt]:
        """Every request, oldest first."""
        return list(self._attempts)

    @property
    def totals(self) -> dict[str, int]:
        """Counted since the start or the last clear, whatever was forgotten in between."""
        return dict(self._totals)

    def arrive(self, attempt: Attempt) -> Attempt:
        """Note a request as it comes in, before anything is done about it; numbers it within its key from 1."""
        self._seq += 1
        attempt.seq = self._seq
        self._totals["attempts"] += 1
        if attempt.idempotency_key is not None:
            key = self._key(attempt.channel, attempt.idempotency_key)
            key.attempts += 1
            attempt.attempt = key.attempts
            known = self._messages.get(key.message_id) if key.message_id else None
            if known is not None:
                known.attempts = key.attempts
                self._tell(known)
        self._attempts.append(attempt)
        return attempt

    def accept(self, attempt: Attempt, sent: Submission, new_id: str, *, honour: bool) -> str:
        """Take the message and return its id; with `honour`, a key seen before returns the id it became then."""
        attempt.accepted = True
        self._totals["accepts"] += 1
        key = self._key(attempt.channel, sent.key) if sent.key is not None else None
        if honour and key is not None and key.message_id is not None:
            attempt.message_id = key.message_id
            return key.message_id
        if key is not None:
            key.message_id = new_id
        attempt.message_id = new_id
        attempt.effect = True
        self._totals["effects"] += 1
        self._store(_message(attempt, sent, new_id, key.attempts if key else 1), sent.size)
        return new_id

    def settle(self, attempt: Attempt, served: Served, status: int | None) -> None:
        """Note what was answered, and when."""
        attempt.served, attempt.status = served, status
        attempt.answered_ns = time.time_ns()
        attempt.answered_at = rfc3339(attempt.answered_ns)
        self._tell(None)

    def find(self, wanted: str) -> Message | None:
        """The newest message of that message id or delivery id."""
        if wanted in self._messages:
            return self._messages[wanted]
        return next((m for m in reversed(self._messages.values()) if m.delivery_id == wanted), None)

    def clear(self) -> None:
        """Forget messages, attempts, keys and totals: as after a start."""
        self._messages.clear()
        self._sizes.clear()
        self._attempts.clear()
        self._keys.clear()
        self._bytes = 0
        self._totals = dict.fromkeys(self._totals, 0)
        self.clears += 1
        self.wake()

    def wake(self) -> None:
        """Let every listener look again."""
        self._tell(None)

    @contextmanager
    def listening(self, listener: Listener) -> Iterator[None]:
        """Call `listener` with each message that is new or changed, and with None when only the counts did."""
        self._listeners.add(listener)
        try:
            yield
        finally:
            self._listeners.discard(listener)

    async def until(self, condition: Callable[["Inbox"], bool], within: timedelta = timedelta(seconds=10)) -> None:
        """Wait until the condition holds; raise TimeoutError when it does not in time."""
        changed = asyncio.Event()
        with self.listening(lambda _message: changed.set()):
            async with asyncio.timeout(within.total_seconds()):
                while not condition(self):
                    await changed.wait()
                    changed.clear()

    def _tell(self, message: Message | None) -> None:
        for listener in tuple(self._listeners):
            listener(message)

    def _key(self, channel: Channel, key: str) -> _Key:
        known = self._keys.get((channel, key))
        if known is None:
            known = self._keys[channel, key] = _Key()
            if len(self._keys) > self._keep_keys:
                self._keys.popitem(last=False)
        return known

    def _store(self, message: Message, size: int) -> None:
        self._messages[message.id] = message
        self._sizes.append(size)
        self._bytes += size
        while len(self._messages) > self._keep or (self._bytes > self._keep_bytes and len(self._messages) > 1):
            self._messages.popitem(last=False)
            self._bytes -= self._sizes.popleft()
        self._tell(message)


def _message(attempt: Attempt, sent: Submission, new_id: str, attempts: int) -> Message:
    return Message(
        id=new_id,
        at=attempt.at,
        at_ns=attempt.at_ns,
        channel=attempt.channel,
        protocol=attempt.protocol,
        to=", ".join(sent.to),
        subject=sent.subject,
        title=sent.title,
        body=sent.body,
        html=sent.html,
        idempotency_key=sent.key,
        delivery_id=sent.delivery_id,
        metadata=sent.metadata,
        headers=sent.headers,
        verification=sent.verification,
        attempts=attempts,
    )
