"""Appends any number of records to the log, in parts each of which it can acknowledge in time. Knows no topic's
meaning."""

from collections.abc import Iterable

from libs.common.domain.parts import parts
from libs.common.ports import Log, Record

_MOST = 2_000


async def append_all(log: Log, records: Iterable[Record]) -> None:
    """Append all of them, drawn part by part. Raises as `Log.append` does; then some may have been written."""
    for part in parts(records, _MOST, lambda record: record.size):
        await log.append(part)
