"""A long row is cut into parts that can be handled at once."""

from itertools import chain, count

from hypothesis import given
from hypothesis import strategies as st

from libs.common.domain.parts import HEAVIEST, parts


@given(st.lists(st.integers(0, HEAVIEST + 1)), st.integers(1, 5))
def test_parts_make_up_the_whole_and_none_is_too_long_or_too_heavy(items: list[int], most: int) -> None:
    cut = list(parts(items, most, lambda item: item))

    assert list(chain.from_iterable(cut)) == items
    assert all(0 < len(part) <= most for part in cut)
    assert all(sum(part) <= HEAVIEST or len(part) == 1 for part in cut)


@given(st.lists(st.integers()))
def test_what_has_no_weight_is_cut_by_number(items: list[int]) -> None:
    assert [len(part) for part in parts(items, 2)] == [2] * (len(items) // 2) + [1] * (len(items) % 2)


def test_no_more_is_drawn_than_the_part_and_what_did_not_fit() -> None:
    row = count()

    assert next(parts(row, 3)) == [0, 1, 2]
    assert next(row) == 4
