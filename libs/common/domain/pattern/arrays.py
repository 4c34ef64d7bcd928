"""Array consistency: no two fields of a filter may be taken from different elements of one array.

A field's accepted leaves are options; each option is a chain of array elements. The conditions are taken in the order
of their paths, carrying the sets of elements that are still possible. This order also decides what `exists: false`
sees: only leaves that agree with the elements fixed so far count as present.

Where all fields of a filter lie in arrays inside one another, as nearly always, two leaves agree when the element of
one is inside that of the other: `lines.py` answers with bitmaps. Where arrays lie beside one another in an element, the
choices multiply: they are walked here, up to a bound.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

from libs.common.domain.pattern.fields import Chain, Fields, Leaf
from libs.common.domain.pattern.lines import holds_on_line, is_on_line
from libs.common.domain.pattern.model import Branch, Condition, accepts

MAX_STEPS = 2_000
"""Leaves of all fields, and options looked at for each: some 10 ms. An event of 10,000 elements kept the router busy
for 0.4 s with each filter. Beyond the bound there is no match."""

Elements = frozenset[tuple[int, int]]
"""Fixed elements: at most one index per array."""


class _Options:
    """The chains of some leaves as a tree, so that only those which agree with the fixed elements are visited."""

    def __init__(self, chains: Iterable[Chain]) -> None:
        self.ends = False
        self.arrays: dict[int, dict[int, _Options]] = {}
        for chain in chains:
            self._add(chain)

    def _add(self, chain: Chain) -> None:
        node = self
        for array, index in chain:
            elements = node.arrays.setdefault(array, {})
            node = elements.setdefault(index, _Options(()))
        node.ends = True

    def agreeing(self, fixed: dict[int, int], chain: Chain = ()) -> Iterator[Chain]:
        """The chains that name no other element of an array of which one is fixed."""
        if self.ends:
            yield chain
        for array, elements in self.arrays.items():
            if array in fixed:
                index = fixed[array]
                if index in elements:
                    yield from elements[index].agreeing(fixed, (*chain, (array, index)))
            else:
                for index, node in elements.items():
                    yield from node.agreeing(fixed, (*chain, (array, index)))


def holds_consistently(branch: Branch, fields: Fields) -> bool:
    """Whether leaves can be chosen, one for each condition, that agree about the elements of every array."""
    if is_on_line(branch, fields):
        return holds_on_line(branch, fields)
    leaves = sum(len(fields.leaves.get(condition.path, ())) for condition in branch.conditions)
    return leaves <= MAX_STEPS and holds_beside(branch, fields)


def holds_beside(branch: Branch, fields: Fields) -> bool:
    """The same, wherever the arrays are."""
    choices: dict[Elements, None] = {frozenset(): None}  # a dictionary, because it keeps the order
    met: set[int] = set()
    for condition, later in zip(branch.conditions, _arrays_of_later_conditions(branch, fields), strict=True):
        leaves = fields.leaves.get(condition.path, ())
        following: dict[Elements, None] = {}
        for elements in islice(_following(condition, leaves, choices, met | later), MAX_STEPS):
            following[frozenset(element for element in elements if element[0] in later)] = None
            if not later:
                break  # nothing is left to disagree about: one way is as good as all
        if not following:
            return False
        choices, met = following, later
    return True


def _following(
    condition: Condition, leaves: Sequence[Leaf], choices: Iterable[Elements], arrays: set[int]
) -> Iterator[Iterable[tuple[int, int]]]:
    """Each choice with the elements that an accepted leaf adds to it; only these arrays matter."""
    accepted = _Options(_within(leaf.chain, arrays) for leaf in leaves if accepts(condition, leaf))
    present = _Options(_within(leaf.chain, arrays) for leaf in leaves) if condition.absent else None
    for elements in choices:
        fixed = dict(elements)
        for chain in accepted.agreeing(fixed):
            yield (*elements, *chain)
        if present is not None and next(present.agreeing(fixed), None) is None:
            yield elements


def _within(chain: Chain, arrays: set[int]) -> Chain:
    return tuple(element for element in chain if element[0] in arrays)


def _arrays_of_later_conditions(branch: Branch, fields: Fields) -> list[set[int]]:
    """For each condition the arrays that a later one may meet; what was fixed elsewhere can be forgotten."""
    later: list[set[int]] = []
    arrays: set[int] = set()
    for condition in reversed(branch.conditions):
        later.append(set(arrays))
        for leaf in fields.leaves.get(condition.path, ()):
            arrays.update(array for array, _ in leaf.chain)
    return later[::-1]
