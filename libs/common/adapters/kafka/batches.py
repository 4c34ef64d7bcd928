"""Reads the batches of records that a fetch brings, whatever their state. aiokafka's parser gives a whole partition up,
for good, over one header whose name is not UTF-8, and over a batch that was packed wrongly; brokers take both. Decides
how much of such a batch can be read; knows nothing of what the records mean."""

from collections.abc import Iterator
from typing import Any

import structlog
from aiokafka.errors import CorruptRecordException, UnsupportedCodecError
from aiokafka.record.default_records import _DefaultRecordBatchPy, _DefaultRecordPy
from aiokafka.record.memory_records import _MemoryRecordsPy
from aiokafka.record.util import decode_varint

_log = structlog.get_logger(__name__)

UNREADABLE = "sigmora-unreadable-batch"
"""Header of the record that stands for what could not be read of a batch; says why."""
_LONGEST_REASON = 200
_CREATE_TIME, _APPEND_TIME = 0, 1


class FetchedBatches(_MemoryRecordsPy):  # type: ignore[misc]  # aiokafka has no type information
    """What aiokafka's `MemoryRecords` is, but its batches do not give up."""

    def next_batch(self) -> Any:
        """The next batch; None after the last."""
        raw = self._next_slice
        batch = super().next_batch()
        if batch is None or raw[self.MAGIC_OFFSET] < 2 or batch.is_control_batch:
            return batch  # it has no headers, or nobody is shown its records
        return _Batch(batch, raw)


class _Batch:
    """Its records are read by aiokafka's fast parser; from where that fails on by ours, which bears more; and from
    where that fails on they are handed over in one piece."""

    def __init__(self, batch: Any, raw: memoryview) -> None:
        self._batch = batch
        self._raw = raw

    def __getattr__(self, name: str) -> Any:
        return getattr(self._batch, name)

    def __iter__(self) -> Iterator[Any]:
        reached = self._batch.base_offset
        for records in (self._batch, _read(self._raw)):
            try:
                for record in records:
                    if record.offset >= reached:
                        yield record
                        reached = record.offset + 1
            except UnsupportedCodecError:  # our installation is at fault, not the batch
                raise
            except Exception as error:  # of a parser or a decompressor; another attempt would find the same bytes
                failure = error
            else:
                return
        yield self._in_one_piece(reached, failure)

    def _in_one_piece(self, reached: int, error: Exception) -> Any:
        """The checksum was right, or nobody would iterate: these are the bytes that somebody wrote."""
        # An offset past the batch's own would make the next batch's first record look read.
        offset = min(reached, self._batch.next_offset - 1)
        reason = f"{type(error).__name__}: {error}"[:_LONGEST_REASON]
        _log.error("batch.unreadable", offset=offset, error=reason)
        headers = [(UNREADABLE, reason.encode(errors="backslashreplace"))]
        return _DefaultRecordPy(offset, self._batch.max_timestamp, _CREATE_TIME, None, bytes(self._raw), headers)


def _read(raw: memoryview) -> Iterator[Any]:
    """The records of a batch; names of headers that are not UTF-8 as surrogate escapes.

    The format is at https://kafka.apache.org/documentation/#record.
    """
    batch = _DefaultRecordBatchPy(raw)
    batch._maybe_uncompress()  # no public call gives the bytes behind the compression
    buffer, at = batch._buffer, batch._pos
    for _ in range(batch._num_records):
        length, at = decode_varint(buffer, at)
        end = at + length
        since, at = decode_varint(buffer, at + 1)  # past the attributes, which mean nothing
        delta, at = decode_varint(buffer, at)
        key, at = _nullable(buffer, at)
        value, at = _nullable(buffer, at)
        count, at = decode_varint(buffer, at)
        headers = []
        for _ in range(count):
            name, at = _nullable(buffer, at)
            content, at = _nullable(buffer, at)
            headers.append(((name or b"").decode("utf-8", "surrogateescape"), content))
        if at != end:
            raise CorruptRecordException(f"a record of {length} bytes ends {at - end} bytes late")
        timestamp = batch.max_timestamp if batch.timestamp_type == _APPEND_TIME else batch.first_timestamp + since
        yield _DefaultRecordPy(batch.base_offset + delta, timestamp, batch.timestamp_type, key, value, headers)


def _nullable(buffer: bytearray, at: int) -> tuple[bytes | None, int]:
    size, at = decode_varint(buffer, at)
    return (None, at) if size < 0 else (bytes(buffer[at : at + size]), at + size)
