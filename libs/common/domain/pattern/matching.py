"""Whether an event passes a filter. Pure; the API's dry run, the router and the CLI all ask here."""

from collections.abc import Iterator, Mapping

from pyroaring import BitMap

from libs.common.domain.pattern.arrays import holds_consistently
from libs.common.domain.pattern.fields import Fields, Leaf
from libs.common.domain.pattern.model import Branch, Condition, Pattern, accepts
from libs.common.domain.pattern.values import Token


def matches(pattern: Pattern, fields: Fields) -> bool:
    """Whether one of the filter's branches holds for the event."""
    return any(holds(branch, fields) for branch in pattern.branches)


def holds(branch: Branch, fields: Fields) -> bool:
    """Whether every condition holds, and those on fields inside arrays hold for the same elements."""
    if not all(holds_alone(condition, fields) for condition in branch.conditions):
        # Absence inside an array may still hold for the element that another field has fixed.
        return _has_absence_in_arrays(branch, fields) and holds_consistently(branch, fields)
    meeting = sum(condition.path in fields.chained for condition in branch.conditions) if fields.chained else 0
    return meeting < 2 or holds_consistently(branch, fields)


def holds_alone(condition: Condition, fields: Fields) -> bool:
    """Whether the condition holds, the others left aside."""
    leaves = fields.leaves.get(condition.path)
    if leaves is None:
        return condition.absent
    found = fields.found.get(condition.path)
    return any(accepts(condition, leaf) for leaf in (leaves if found is None else _distinct(found)))


def _distinct(found: Mapping[Token, tuple[Leaf, BitMap]]) -> Iterator[Leaf]:
    return (leaf for leaf, _ in found.values())


def _has_absence_in_arrays(branch: Branch, fields: Fields) -> bool:
    return any(condition.absent and condition.path in fields.chained for condition in branch.conditions)
