"""An event as the filter sees it: leaves under dotted paths, made once per event and used for all patterns."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import msgspec
from pyroaring import BitMap

from libs.common.domain.pattern.errors import InvalidEvent
from libs.common.domain.pattern.values import Token, token_of

MAX_EVENT_DEPTH = 100
"""Levels of objects and arrays in an event. Every level repeats its path, so depth is what makes an event a bomb."""

Chain = tuple[tuple[int, int], ...]
"""The array elements that a leaf belongs to, outermost first, as (number of the array in the event, index)."""


Line = tuple[str, ...]
"""Arrays inside one another, outermost first, each by where it is in the event, whatever the elements around it."""


class Leaf(NamedTuple):
    """One scalar of the event."""

    value: object
    token: Token
    chain: Chain
    element: int
    """The innermost element that it belongs to, 0 for none."""


class Fields(msgspec.Struct, frozen=True, eq=False):
    """The leaves of one event, by path. Not to be changed, but for what is remembered in `agreeing`."""

    leaves: Mapping[str, Sequence[Leaf]]
    chained: Mapping[str, Line | None] = {}
    """Paths with a leaf inside an array element: where two of these meet in a filter, consistency has to be checked.
    With the arrays that their leaves are in, if those all lie inside one another."""
    ends: Sequence[int] = (1,)
    """Elements are numbered as they are read, so that those inside element n are n + 1 to `ends[n]` - 1; 0 is the
    event itself."""
    found: Mapping[str, Mapping[Token, tuple[Leaf, BitMap]]] = {}
    """Of the same paths each distinct value once, with the elements that have it: a filter looks at ten values and not
    at 10,000 elements."""
    agreeing: dict[str, BitMap] = msgspec.field(default_factory=dict)
    """Filled as it is asked for: by path, the elements that agree with some leaf of it, whatever a filter says."""


def parse_event(text: str | bytes) -> dict[str, object]:
    """A JSON event; integers stay exact, other numbers are doubles. Raises InvalidEvent."""
    try:
        event = msgspec.json.decode(text)
    except (msgspec.MsgspecError, UnicodeError) as error:
        raise InvalidEvent("", f"not JSON: {error}") from None
    except RecursionError:
        raise InvalidEvent("", f"nested deeper than {MAX_EVENT_DEPTH} levels") from None
    if not isinstance(event, dict):
        raise InvalidEvent("", "an event is a JSON object")
    return event


def flatten(event: Mapping[str, object]) -> Fields:
    """The event's leaves. Raises InvalidEvent for what JSON does not have (NaN, dates) and for extreme nesting."""
    reader = _Reader()
    reader.read_object(event, "", _TOP, 1)
    found = {path: _by_value(reader.leaves[path]) for path in reader.chained}
    reader.ends[0] = len(reader.ends)
    return Fields(reader.leaves, reader.chained, reader.ends, found)


def _by_value(leaves: Sequence[Leaf]) -> dict[Token, tuple[Leaf, BitMap]]:
    found: dict[Token, tuple[Leaf, BitMap]] = {}
    for leaf in leaves:
        if leaf.token in found:
            found[leaf.token][1].add(leaf.element)
        else:
            found[leaf.token] = (leaf, BitMap((leaf.element,)))
    return found


def longer_line(one: Line, other: Line) -> Line | None:
    """The longer of two lines, if the other is its beginning; None when they part."""
    longest, shortest = (one, other) if len(one) >= len(other) else (other, one)
    return longest if longest[: len(shortest)] == shortest else None


class _Place(NamedTuple):
    """An object or an array, apart from its path."""

    where: str
    """As the path, with the keys kept apart: `a.b` in one key is another place than `a` and `b` in two."""
    chain: Chain
    line: Line
    element: int


_TOP = _Place("", (), (), 0)


class _Reader:
    """Walks one event. Objects extend the path, objects and arrays inside an array extend the chain."""

    def __init__(self) -> None:
        self.leaves: dict[str, list[Leaf]] = {}
        self.chained: dict[str, Line | None] = {}
        self.ends = [1]
        self.arrays = 0

    def read_object(self, source: Mapping[str, object], prefix: str, place: _Place, depth: int) -> None:
        if depth > MAX_EVENT_DEPTH:
            raise InvalidEvent(prefix[:200], f"nested deeper than {MAX_EVENT_DEPTH} levels")
        for key, value in source.items():
            path = prefix + key
            if isinstance(value, Mapping):
                self.read_object(value, path + ".", place._replace(where=f"{place.where}.\0{key}"), depth + 1)
            elif isinstance(value, (list, tuple)):
                self.read_array(value, path, place._replace(where=f"{place.where}.\0{key}"), depth + 1)
            else:
                self.add(path, value, place)

    def read_array(self, source: Sequence[object], path: str, place: _Place, depth: int) -> None:
        if depth > MAX_EVENT_DEPTH:
            raise InvalidEvent(path[:200], f"nested deeper than {MAX_EVENT_DEPTH} levels")
        array = self.arrays
        self.arrays += 1
        where = f"{place.where}[\0"
        line = (*place.line, where)
        for index, value in enumerate(source):
            if not isinstance(value, (Mapping, list, tuple)):
                self.add(path, value, place)  # a scalar directly in an array belongs to no element
                continue
            element = len(self.ends)
            self.ends.append(0)
            within = _Place(where, (*place.chain, (array, index)), line, element)
            if isinstance(value, Mapping):
                self.read_object(value, path + ".", within, depth + 1)
            else:
                self.read_array(value, path, within, depth + 1)
            self.ends[element] = len(self.ends)

    def add(self, path: str, value: object, place: _Place) -> None:
        try:
            leaf = Leaf(value, token_of(value), place.chain, place.element)
        except (TypeError, ValueError) as error:
            raise InvalidEvent(path, str(error)) from None
        self.leaves.setdefault(path, []).append(leaf)
        if place.chain:
            known = self.chained.get(path, place.line)
            self.chained[path] = None if known is None else longer_line(known, place.line)
