"""Texts that come from outside have one meaning as JSON, or are refused by place."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.common.domain.errors import InvalidInput
from libs.common.domain.json_text import decode_json, repeated_keys


@pytest.mark.parametrize("text", [b"", b"{", b"NaN", b'{"a":1e400}', b"[" * 100_000, b"\xff\xfe", b'"\\ud800"'])
def test_what_is_not_json_is_refused(text: bytes) -> None:
    with pytest.raises(InvalidInput):
        decode_json(text)


REPEATED = [
    (b'{"a": 1, "a": 2}', ["a"]),
    (b'{"a": 1, "b": 2, "a": 1, "b": 3, "c": 4}', ["a", "b"]),
    (b'{"a": {"b": [0, {"c": 1, "d": 2, "c": 3}]}}', ["a.b[1].c"]),
    (b'[[{"x": 1}], [{"x": 1, "x": 2}]]', ["[1][0].x"]),
    (b'{"a": 1, "\\u0061": 2}', ["a"]),
    (b'{"a": {"b": 1, "b": 2}, "a": 3}', ["a"]),
    (b'{"": 1, "": 2}', [""]),
]


@pytest.mark.parametrize(("text", "places"), REPEATED)
def test_a_key_that_an_object_has_twice_is_told_by_its_place(text: bytes, places: list[str]) -> None:
    assert sorted(repeated_keys(text)) == places


def test_places_are_below_what_the_text_is_part_of() -> None:
    with pytest.raises(InvalidInput, match=r"data\.a: is given twice"):
        decode_json(b'{"a": 1, "a": 2}', "data")


@pytest.mark.parametrize("text", [b"1" * 5_000, b'{"a": -1.5e300, "b": [1, 2.5]}'])
def test_numbers_have_no_keys(text: bytes) -> None:
    assert repeated_keys(text) == []


def test_thousands_of_repetitions_are_told_of_twenty_times() -> None:
    text = json.dumps([{"a": 1, "b": 2}] * 5_000).replace('"b"', '"a"').encode()

    assert len(repeated_keys(text)) == 20


_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=30,
)


@given(_VALUES)
def test_whatever_json_can_say_once_is_read_as_it_is(value: Any) -> None:
    text = msgspec.json.encode(value)

    assert decode_json(text) == msgspec.json.decode(text)
