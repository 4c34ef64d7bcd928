"""Packs batches of records by hand: also such as brokers take though no client can read them."""

import struct
from collections.abc import Callable, Sequence

from aiokafka.producer.message_accumulator import BatchBuilder
from aiokafka.record.util import calc_crc32c, encode_varint

_NO_PRODUCER = (-1, -1, -1)
MADE_AT = 1_700_000_000_000


def pack_record(
    value: bytes | None,
    key: bytes | None = None,
    headers: Sequence[tuple[bytes, bytes | None]] = (),
    *,
    place: int = 0,
    claimed_length: int | None = None,
) -> bytes:
    """The record that stands at `place` of its batch; `claimed_length` is a lie about its size."""
    body = bytearray(b"\0")
    for number in (0, place):
        encode_varint(number, body.append)
    _put(body, key)
    _put(body, value)
    encode_varint(len(headers), body.append)
    for name, content in headers:
        _put(body, name)
        _put(body, content)
    record = bytearray()
    encode_varint(len(body) if claimed_length is None else claimed_length, record.append)
    return bytes(record + body)


def pack_batch(
    *records: bytes, base_offset: int = 0, codec: int = 0, compress: Callable[[bytes], bytes] = bytes
) -> bytes:
    """The batch as brokers keep it, with a checksum that is right."""
    head = (codec, len(records) - 1, MADE_AT, MADE_AT, *_NO_PRODUCER, len(records))
    checked = struct.pack(">hiqqqhii", *head) + compress(b"".join(records))
    return struct.pack(">qiibI", base_offset, len(checked) + 9, -1, 2, calc_crc32c(checked)) + checked


class PackedBatch(BatchBuilder):  # type: ignore[misc]  # aiokafka has no type information
    """A packed batch, to be given to `AIOKafkaProducer.send_batch`."""

    def __init__(self, packed: bytes, records: int) -> None:
        super().__init__(len(packed), 0)
        self._packed = packed
        self._relative_offset = records
        self.close()

    def size(self) -> int:
        """Bytes."""
        return len(self._packed)

    def _build(self) -> bytearray:
        return bytearray(self._packed)


def _put(body: bytearray, content: bytes | None) -> None:
    encode_varint(-1 if content is None else len(content), body.append)
    body += content or b""
