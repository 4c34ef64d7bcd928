"""Which records of a partition are done, and so how far its offset may be committed. Decides nothing else: pure
bookkeeping, no broker and no clock.

Records are registered in the order of the log and finished in any order; the watermark is the end of the unbroken run
of finished ones. Everything below it is durable, so a crash repeats at most what lies above.
"""

from collections import deque
from collections.abc import Hashable, Iterable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

P = TypeVar("P", bound=Hashable)


@dataclass(frozen=True, slots=True)
class Ticket(Generic[P]):
    """One registered record. Of use only in the epoch in which it was given out."""

    partition: P
    offset: int
    epoch: int


@dataclass(slots=True)
class _Partition:
    epoch: int
    open: deque[int] = field(default_factory=deque)
    """Registered offsets from the watermark on, in order; with gaps, as the log has them."""
    done: set[int] = field(default_factory=set)
    """Those of `open` that are finished."""
    weights: dict[int, int] = field(default_factory=dict)
    """The bytes of those that are not."""
    weight: int = 0
    last: int = -1
    watermark: int | None = None
    """The next offset to read; None until the first record is finished."""
    committed: int | None = None


class Tracker(Generic[P]):
    """The records in flight of one consumer."""

    def __init__(self) -> None:
        self._partitions: dict[P, _Partition] = {}
        self._epochs = 0

    def register(self, partition: P, offset: int, weight: int = 0) -> Ticket[P]:
        """Take a record of `weight` bytes in. An offset that is not above the last one means that the partition is
        being read again: what was registered before is forgotten."""
        state = self._partitions.get(partition)
        if state is None or offset <= state.last:
            self._epochs += 1
            state = self._partitions[partition] = _Partition(self._epochs)
        state.open.append(offset)
        state.last = offset
        state.weights[offset] = weight
        state.weight += weight
        return Ticket(partition, offset, state.epoch)

    def done(self, ticket: Ticket[P]) -> None:
        """Every effect of the record is durable. Without effect for a ticket of an earlier epoch."""
        if not self.current(ticket):
            return
        state = self._partitions[ticket.partition]
        if state.watermark is not None and ticket.offset < state.watermark:
            return
        state.done.add(ticket.offset)
        state.weight -= state.weights.pop(ticket.offset, 0)
        while state.open and state.open[0] in state.done:
            state.done.remove(state.open[0])
            state.watermark = state.open.popleft() + 1

    def current(self, ticket: Ticket[P]) -> bool:
        """Whether the partition is still ours, in the epoch of the ticket."""
        state = self._partitions.get(ticket.partition)
        return state is not None and state.epoch == ticket.epoch

    def pending(self, partition: P) -> int:
        """How many records are registered and not done."""
        state = self._partitions.get(partition)
        return len(state.open) - len(state.done) if state else 0

    def weight(self, partition: P) -> int:
        """How many bytes are registered and not done."""
        state = self._partitions.get(partition)
        return state.weight if state else 0

    def span(self, partition: P) -> int:
        """How many records lie above the watermark, done or not: what a crash would repeat."""
        state = self._partitions.get(partition)
        return len(state.open) if state else 0

    def watermarks(self, partitions: Iterable[P] | None = None) -> dict[P, int]:
        """The next offset to read of every partition (or of `partitions`) whose watermark moved since it was last
        committed."""
        wanted = list(self._partitions) if partitions is None else partitions
        found = {partition: self._partitions[partition] for partition in wanted if partition in self._partitions}
        return {
            partition: state.watermark
            for partition, state in found.items()
            if state.watermark is not None and state.watermark != state.committed
        }

    def committed(self, positions: dict[P, int]) -> None:
        """The log has these positions."""
        for partition, position in positions.items():
            state = self._partitions.get(partition)
            if state is not None and state.watermark is not None and position <= state.watermark:
                state.committed = position

    def forget(self, partitions: Iterable[P]) -> None:
        """The partitions are not ours any more: their tickets lose their meaning."""
        for partition in partitions:
            self._partitions.pop(partition, None)
