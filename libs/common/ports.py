"""The port through which every process writes to the log, and what those that read it get. Ports that one process
alone needs are declared there."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from libs.common.domain.errors import SigmoraError

Headers = tuple[tuple[str, bytes | None], ...]
"""Names and values. In a name that is not UTF-8 the bytes that are none stand as surrogate escapes."""


@dataclass(frozen=True)
class Record:
    """What is to be appended. `value` None is a tombstone."""

    topic: str
    value: bytes | None
    key: bytes | None = None
    headers: Headers = ()

    @property
    def size(self) -> int:
        """Bytes, but for the headers."""
        return len(self.value or b"") + len(self.key or b"")


@dataclass(frozen=True, slots=True)
class Received:
    """One record of the log, unread. `value` None is a tombstone."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Headers
    timestamp_ms: int

    @property
    def origin(self) -> str:
        """`topic/partition/offset`: where to find it again."""
        return f"{self.topic}/{self.partition}/{self.offset}"


class Stale(SigmoraError):
    """A topic cannot be followed from where we are: records expired, it was cut or made anew, partitions were added, or
    they stopped coming. Read the truth anew."""


class Log(Protocol):
    """The log, to be written."""

    async def append(self, records: Sequence[Record]) -> None:
        """Append all of them; returns once every in-sync replica has every one.

        Raises:
            Unavailable: some may not have been written. Appending them again is always right: ids are derived.
            Poison: a record can never be written (too large for the broker).
        """
