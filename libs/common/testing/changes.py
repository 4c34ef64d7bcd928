"""The topic of subscriber changes in memory, as the router's index follows it."""

import asyncio
from collections.abc import AsyncIterator, Mapping

import msgspec

from libs.common.domain.errors import Unavailable
from libs.common.domain.messages import SubscriberChanged
from libs.common.domain.subscribers import log_key
from libs.common.ports import Headers, Received, Stale


class MemoryChanges:
    """Implements `Changes` of the router: one partition. `away` makes it refuse; `cut` ends all following."""

    def __init__(self) -> None:
        self.away = False
        self.refusals = 0
        """How often it refused."""
        self.records: list[Received] = []
        self.followers = 0
        self._cut = False
        self._news = asyncio.Event()

    def put(self, changed: SubscriberChanged) -> None:
        """Append a change."""
        self.append(log_key(changed.tenant, changed.subscriber_id), msgspec.json.encode(changed))

    def append(self, key: bytes | None, value: bytes | None, headers: Headers = ()) -> None:
        """Append any record."""
        self.records.append(Received("subscriptions", 0, len(self.records), key, value, headers, 0))
        self._wake()

    def confirm(self) -> None:
        """Let every follower know that nothing is missing."""
        self._wake()

    def cut(self) -> None:
        """Make every follower stale."""
        self._cut = True
        self._wake()

    async def ends(self) -> dict[int, int]:
        """For each partition the offset that its next record will have."""
        if self.away:
            self.refusals += 1
            raise Unavailable("Kafka: away")
        return {0: len(self.records)}

    async def since(self, positions: Mapping[int, int]) -> AsyncIterator[list[Received]]:
        """Every record from these offsets on, without end."""
        self._cut = False
        self.followers += 1
        position = positions[0]
        while True:
            news = self._news
            if self._cut:
                raise Stale("cut")
            records, position = self.records[position:], len(self.records)
            yield records
            if position == len(self.records) and not self._cut:
                await news.wait()

    def _wake(self) -> None:
        self._news.set()
        self._news = asyncio.Event()
