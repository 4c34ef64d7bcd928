"""Makes the dead letter of a record that cannot be read: the original's bytes, key and headers untouched, and bounded
headers of ours that say where it came from and why it was given up."""

from collections.abc import Sequence
from typing import Protocol

from libs.common.appending import append_all
from libs.common.domain.errors import Poison
from libs.common.domain.keys import fingerprint
from libs.common.ports import Headers, Log, Record

_LONGEST = 512
"""Bytes per header of ours: together far under the headroom between a record's limit and a batch's."""
_OURS = 4
"""Headers that a dead letter has more than its original, after it."""
_SHORTENED = 256 * 1024
"""Bytes kept of a value that no dead letter can hold whole."""


class Unreadable(Protocol):
    """What a dead letter is made of: a record as it came from the log."""

    @property
    def key(self) -> bytes | None: ...
    @property
    def value(self) -> bytes | None: ...
    @property
    def headers(self) -> Headers: ...
    @property
    def origin(self) -> str: ...


def dead_letter(record: Unreadable, topic: str, error: str, consumer: str) -> Record:
    """The dead letter for `topic`. `error` is `Class: reason`; the fingerprint groups equal bodies in the tools."""

    ours = {
        "sigmora-origin": record.origin,
        "sigmora-error": error,
        "sigmora-consumer": consumer,
        "sigmora-fingerprint": fingerprint(record.value or b""),
    }
    bounded = ((name, text.encode(errors="backslashreplace")[:_LONGEST]) for name, text in ours.items())
    return Record(topic, record.value, record.key, (*record.headers, *bounded))


async def bury(log: Log, letters: Sequence[Record]) -> None:
    """Append dead letters. One that is too large for the log goes without the sender's headers and without the ends of
    its key and value, marked so, rather than stop its partition for good: the whole record stays at its origin until
    that topic's retention ends.

    Raises:
        Unavailable: some may not have been written; bury all of them again.
    """
    try:
        await append_all(log, letters)
    except Poison:
        for letter in letters:
            try:
                await log.append([letter])
            except Poison:
                await log.append([_shortened(letter)])


def _shortened(letter: Record) -> Record:
    mark = ("sigmora-truncated-from", str(len(letter.value or b"")).encode())
    ours = letter.headers[-_OURS:]  # by their place: a sender may name its own as it likes
    value, key = letter.value and letter.value[:_SHORTENED], letter.key and letter.key[:_LONGEST]
    return Record(letter.topic, value, key, (*ours, mark))
