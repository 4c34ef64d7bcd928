"""From the fields of an event to the branches that it may pass: the inverted index of one tenant's filters.

Every branch is *led* by one of its fields, the one that looks most selective, and *checked* by the others. An event
first gathers what its values lead to, which is few, and then drops what another field refuses; so no step costs more
than the few. What postings cannot decide (other operators, absence, array consistency) is named for verification.
"""

from collections.abc import Hashable, Iterable

from pyroaring import BitMap

from libs.common.domain.index.numbering import Numbering
from libs.common.domain.index.postings import Postings, answers_wholly, width
from libs.common.domain.pattern.fields import Fields
from libs.common.domain.pattern.model import Branch, Condition


class Candidates:
    """Branches by number; numbers are below `end` and used again."""

    def __init__(self) -> None:
        self._led: dict[str, Postings] = {}
        self._checked: dict[str, Postings] = {}
        self._always = BitMap()
        self._undecided = BitMap()
        self._numbering = Numbering()
        self._until_ordered = 1

    @property
    def end(self) -> int:
        """Every number in use is below."""
        return self._numbering.end

    def enter(self, branch: Branch) -> int:
        """Index a branch and give it a number."""
        self._order_checked()
        posted = [condition for condition in branch.conditions if not condition.absent]
        leader = max(posted, key=self._selectivity, default=None)
        number = self._numbering.take(_company(leader))
        if leader is None:
            self._always.add(number)
        if not all(answers_wholly(condition) for condition in branch.conditions):
            self._undecided.add(number)
        for condition in posted:
            side = self._led if condition is leader else self._checked
            if (postings := side.get(condition.path)) is None:
                postings = side[condition.path] = Postings()
            postings.post(condition, number)
        return number

    def leave(self, branch: Branch, number: int) -> None:
        """Forget a branch; its number is free."""
        self._undecided.discard(number)
        self._always.discard(number)
        leader = None
        for condition in branch.conditions:
            for side in (self._led, self._checked):
                postings = side.get(condition.path)
                if postings is not None and number in postings.everyone:
                    leader = condition if side is self._led else leader
                    postings.withdraw(condition, number)
                    if not postings.everyone:
                        del side[condition.path]
        self._numbering.give_back(number, _company(leader))

    def gather(self, fields: Fields) -> tuple[BitMap, BitMap]:
        """The branches that the event passes as far as postings tell, and those among them that must be verified."""
        left = self._gather_led(fields)
        for path, postings in self._checked.items():
            if not left:
                break
            accepted = []
            if (leaves := fields.leaves.get(path)) is not None:
                for numbers in postings.found(leaves):
                    if isinstance(numbers, BitMap):
                        accepted.append(left & numbers)
                    elif numbers in left:
                        accepted.append(BitMap((numbers,)))
            left -= postings.everyone
            for numbers in accepted:
                left |= numbers
        return left, left & self._undecided | self._met_twice_in_arrays(left, fields)

    def _order_checked(self) -> None:
        """Let the fields that refuse most check first. Looked at again whenever the branches have doubled."""
        if self._numbering.end >= self._until_ordered:
            self._until_ordered = 2 * self._numbering.end + 1
            ordered = sorted(self._checked.items(), key=lambda entry: entry[1].variety, reverse=True)
            self._checked = dict(ordered)

    def _gather_led(self, fields: Fields) -> BitMap:
        bare: list[int] = []
        sets = [self._always]
        for path, leaves in fields.leaves.items():
            if (postings := self._led.get(path)) is not None:
                for numbers in postings.found(leaves):
                    if isinstance(numbers, int):
                        bare.append(numbers)
                    else:
                        sets.append(numbers)
        gathered = BitMap.union(*sets) if len(sets) > 1 else sets[0].copy()
        gathered.update(bare)
        return gathered

    def _met_twice_in_arrays(self, left: BitMap, fields: Fields) -> BitMap:
        """The branches with two fields that the event has inside array elements, where consistency is at stake."""
        once, twice = BitMap(), BitMap()
        for path in fields.chained:
            for side in (self._led, self._checked):
                if (postings := side.get(path)) is not None:
                    asking = left & postings.everyone
                    twice |= once & asking
                    once |= asking
        return twice

    def _selectivity(self, condition: Condition) -> float:
        """How many values share the branches, for each posting that this one needs."""
        sides: Iterable[Postings | None] = (self._led.get(condition.path), self._checked.get(condition.path))
        return sum(postings.variety for postings in sides if postings is not None) / width(condition)


def _company(leader: Condition | None) -> Hashable:
    """What branches that are found together have in common."""
    if leader is None:
        return None
    return next(iter(leader.exact), leader.path)
