"""Whatever a broker has taken, its records are handed over: one by one as far as they can be read."""

from collections.abc import Callable
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.codec import gzip_encode, zstd_encode
from aiokafka.consumer.fetcher import READ_UNCOMMITTED, PartitionRecords
from aiokafka.errors import CorruptRecordException

from libs.common.adapters.kafka.batches import UNREADABLE, FetchedBatches
from libs.common.testing.batches import MADE_AT, pack_batch, pack_record

GZIP, ZSTD = 1, 4


def fetched(*batches: bytes, since: int = 0) -> list[Any]:
    """The records as a consumer of aiokafka gets them that has asked for those from an offset on."""
    records = FetchedBatches(b"".join(batches))
    return list(PartitionRecords(TopicPartition("t", 0), records, None, since, None, None, True, READ_UNCOMMITTED))


@pytest.mark.parametrize(("codec", "compress"), [(0, bytes), (GZIP, gzip_encode), (ZSTD, zstd_encode)])
def test_a_header_name_that_is_not_utf8_costs_nobody_a_record(codec: int, compress: Callable[[bytes], bytes]) -> None:
    """aiokafka raised UnicodeDecodeError over it in each poll anew: the consumer read nothing more, of any partition,
    and what it had taken from the others in the same poll was lost."""
    batch = pack_batch(
        pack_record(b"before", b"k", [(b"plain", b"\xff")]),
        pack_record(b"odd", b"\xfe", [(b"ok\xff\xfe", b"1"), (b"n", None)], place=1),
        pack_record(None, None, place=2),
        base_offset=7,
        codec=codec,
        compress=compress,
    )

    records = fetched(batch, pack_batch(pack_record(b"next"), base_offset=10))

    assert [(one.offset, one.key, one.value) for one in records] == [
        (7, b"k", b"before"),
        (8, b"\xfe", b"odd"),
        (9, None, None),
        (10, None, b"next"),
    ]
    assert records[0].headers == (("plain", b"\xff"),)
    assert [(name.encode(errors="surrogateescape"), value) for name, value in records[1].headers] == [
        (b"ok\xff\xfe", b"1"),
        (b"n", None),
    ]
    assert {one.timestamp for one in records} == {MADE_AT}


PACKED_WRONGLY = {
    "a record that lies about its length": pack_batch(
        pack_record(b"good", b"k"),
        pack_record(b"bad", claimed_length=100, place=1),
        pack_record(b"hidden", place=2),
        base_offset=7,
        codec=ZSTD,
        compress=zstd_encode,
    ),
    "something after what was compressed": pack_batch(
        *(pack_record(b"hidden" * 100, place=place) for place in range(3)),
        base_offset=7,
        codec=GZIP,
        compress=lambda records: gzip_encode(records) + b"junk",
    ),
}


@pytest.mark.parametrize("batch", PACKED_WRONGLY.values(), ids=PACKED_WRONGLY)
def test_what_cannot_be_read_of_a_batch_comes_in_one_piece(batch: bytes) -> None:
    """The broker took it, so it would be there at the next attempt too: its partition stood still for good."""
    *good, piece, after = fetched(batch, pack_batch(pack_record(b"next"), base_offset=10))

    assert [(one.offset, one.value) for one in good] in ([], [(7, b"good")])
    assert (piece.key, piece.value, piece.offset) == (None, batch, 7 + len(good))
    [(name, reason)] = piece.headers
    assert (name, b": " in reason) == (UNREADABLE, True)
    assert (after.offset, after.value) == (10, b"next")


@pytest.mark.parametrize("batch", PACKED_WRONGLY.values(), ids=PACKED_WRONGLY)
def test_who_has_taken_the_piece_goes_on_after_its_batch(batch: bytes) -> None:
    """Its offset is committed; the broker then answers with the whole batch again."""
    first, *_ = [one for one in fetched(batch) if one.value == batch]

    assert fetched(batch, since=first.offset + 1) == []
    assert [one.value for one in fetched(batch, pack_batch(pack_record(b"x"), base_offset=10), since=9)] == [b"x"]


def test_bytes_that_are_not_those_that_were_written_are_nobodys_record() -> None:
    """A broken disk or wire: another broker may have them right, so they must not be passed over."""
    batch = bytearray(pack_batch(pack_record(b"good")))
    batch[-2] ^= 1

    with pytest.raises(CorruptRecordException):
        fetched(bytes(batch))
