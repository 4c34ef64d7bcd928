"""What all ports share: one inbox, one set of faults, one way to wait. Refuses to know any protocol."""

import asyncio
import contextlib
from collections.abc import Callable

from deploy.simulator.access import Access
from deploy.simulator.faults import Faults
from deploy.simulator.inbox import Inbox
from deploy.simulator.ledger import Ledger
from deploy.simulator.records import Attempt, Message, Served, rfc3339
from deploy.simulator.rules import Channel
from deploy.simulator.settings import Settings


class World:
    """One simulator's state. `closing` is set once, when it stops; whoever waits is woken by it."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.inbox = Inbox(settings.keep, settings.keep_bytes, settings.keep_keys)
        self.faults = Faults(settings.seed)
        self.access = Access(settings.api_key.get_secret_value() if settings.api_key else None)
        self.ledger: Ledger | None = None
        self.closing = asyncio.Event()
        self.on_effect: Callable[[Message], None] | None = None

    def open_ledger(self) -> None:
        """Open the file that the settings name. Raises OSError."""
        if self.settings.ledger is not None:
            self.ledger = Ledger(self.settings.ledger)

    def arrive(self, channel: Channel, protocol: str, at_ns: int, *, sha256: str, key: str | None) -> Attempt:
        """Note a request as it comes in."""
        attempt = Attempt(
            seq=0,
            at=rfc3339(at_ns),
            at_ns=at_ns,
            channel=channel,
            protocol=protocol,
            idempotency_key=key,
            body_sha256=sha256,
        )
        return self.inbox.arrive(attempt)

    async def settle(self, attempt: Attempt, served: Served, status: int | None) -> None:
        """Note what is about to be answered, on disk too, and only then return."""
        self.inbox.settle(attempt, served, status)
        if self.ledger is not None:
            await self.ledger.write(attempt)
        if attempt.effect and self.on_effect is not None and attempt.message_id is not None:
            message = self.inbox.find(attempt.message_id)
            if message is not None:
                self.on_effect(message)

    def close(self) -> None:
        """Wake whoever waits: there will be no more."""
        self.closing.set()
        self.inbox.wake()

    async def pause(self, seconds: float) -> None:
        """Wait, but not beyond the end."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self.closing.wait()

    async def hold(self, gone: Callable[[], bool]) -> None:
        """Wait until the other side has gone, or the end."""
        while not self.closing.is_set() and not gone():
            await self.pause(0.1)
