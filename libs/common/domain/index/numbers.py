"""Sets of numbers under keys, most of which hold one number: that one is kept bare, and costs no bitmap (200 bytes)."""

from collections.abc import Hashable
from typing import TypeVar

from pyroaring import BitMap

Numbers = int | BitMap
"""A set that is not empty: its only member, or all of them."""

Key = TypeVar("Key", bound=Hashable)


def with_number(held: Numbers | None, number: int) -> Numbers:
    """The set with the number; a bitmap is changed in place."""
    if held is None or held == number:
        return number
    if isinstance(held, int):
        return BitMap((held, number))
    held.add(number)
    return held


def without_number(held: Numbers | None, number: int) -> Numbers | None:
    """The set without the number, None when nothing is left; a bitmap is changed in place."""
    if held is None or held == number:
        return None
    if isinstance(held, int):
        return held
    held.discard(number)
    return held[0] if len(held) == 1 else held


def add(table: dict[Key, Numbers], key: Key, number: int) -> bool:
    """Put the number under the key; whether the key is new."""
    held = table.get(key)
    table[key] = with_number(held, number)
    return held is None


def discard(table: dict[Key, Numbers], key: Key, number: int) -> bool:
    """Take the number from under the key; whether the key is gone."""
    left = without_number(table.get(key), number)
    if left is None:
        table.pop(key, None)
        return True
    table[key] = left
    return False
