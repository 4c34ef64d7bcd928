"""The ordinals of a slot that has several: a plain array while they are few, a bitmap when they are many.

Few scattered ordinals make a bitmap of many small runs, each in its own place in memory: five times the bytes, and
slower to visit than the match itself.
"""

from array import array
from typing import TypeAlias

from pyroaring import BitMap

Members: TypeAlias = "array[int] | BitMap"
"""Distinct ordinals; at most `_FEW` in an array."""

_FEW = 64


def with_member(held: Members, ordinal: int) -> Members:
    """The set with the ordinal; changed in place, but for an array that becomes a bitmap."""
    if isinstance(held, BitMap):
        held.add(ordinal)
    elif ordinal not in held:
        held.append(ordinal)
        if len(held) > _FEW:
            return BitMap(held)
    return held


def without_member(held: Members, ordinal: int) -> Members:
    """The set without the ordinal; changed in place, but for a bitmap that becomes an array (at half, not to waver)."""
    if isinstance(held, BitMap):
        held.discard(ordinal)
        return array("I", held) if len(held) <= _FEW // 2 else held
    if ordinal in held:
        held.remove(ordinal)
    return held
