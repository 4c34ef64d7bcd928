"""Cuts a row of any length into parts that can be handled at once: bounded by their number, and by their weight where
they have one. Draws from the row only as far as needed."""

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")

HEAVIEST = 8 * 1024 * 1024
"""Bytes that fit into memory several times over, and that the log and the database take well within a time-out of 5 s:
2,000 records of 200 kB in one append they never did."""


def parts(items: Iterable[T], most: int, weigh: Callable[[T], int] | None = None) -> Iterator[list[T]]:
    """The items in order, up to `most` and up to `HEAVIEST` by `weigh` at a time; one that alone weighs more is a part
    of its own."""
    part: list[T] = []
    weight = 0
    for item in items:
        heavier = weigh(item) if weigh is not None else 0
        if part and (len(part) == most or weight + heavier > HEAVIEST):
            yield part
            part, weight = [], 0
        part.append(item)
        weight += heavier
    if part:
        yield part
