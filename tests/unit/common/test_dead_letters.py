"""A dead letter is the original and something about it."""

from libs.common.dead_letters import dead_letter
from libs.common.ports import Received

RECORD = Received("events.bulk", 3, 41, b"\xff\x00key", b"\xfe not json", (("h", b"\xff"), ("n", None)), 0)


def test_bytes_key_and_headers_are_untouched() -> None:
    letter = dead_letter(RECORD, "dead-letters", "Poison: not JSON", "router")

    assert (letter.value, letter.key, letter.headers[:2]) == (RECORD.value, RECORD.key, RECORD.headers)


def test_it_says_where_it_came_from_and_why() -> None:
    ours = dict(dead_letter(RECORD, "dead-letters", "Poison: not JSON", "router").headers[2:])

    assert ours["sigmora-origin"] == b"events.bulk/3/41"
    assert ours["sigmora-error"] == b"Poison: not JSON"
    assert ours["sigmora-consumer"] == b"router"


def test_a_long_reason_cannot_make_it_too_large_for_the_log() -> None:
    letter = dead_letter(RECORD, "dead-letters", "x" * 100_000, "router")

    assert sum(len(value or b"") for _, value in letter.headers) < 4096


def test_a_tombstone_stays_a_tombstone() -> None:
    record = Received("t", 0, 0, b"k", None, (), 0)

    assert dead_letter(record, "dead-letters", "Poison: empty", "router").value is None


def test_a_reason_may_quote_what_is_no_text() -> None:
    """A header's name on the log may be any bytes, and refusals name what they refuse."""
    letter = dead_letter(RECORD, "dead-letters", "Poison: header h\udcff", "router")

    assert dict(letter.headers)["sigmora-error"] == b"Poison: header h\\udcff"
