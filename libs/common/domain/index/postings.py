"""Which branches of filters one value of one field speaks for.

Knows values, prefixes, suffixes and presence, which is what a look-up can answer. It does not know what a branch is:
numbers go in, numbers come out.
"""

from collections.abc import Iterable, Iterator

from pyroaring import BitMap

from libs.common.domain.index.numbers import Numbers, add, discard
from libs.common.domain.pattern.fields import Leaf
from libs.common.domain.pattern.model import Condition
from libs.common.domain.pattern.operators import Prefix, Suffix
from libs.common.domain.pattern.values import Token

_Affix = Prefix | Suffix


def answers_wholly(condition: Condition) -> bool:
    """Whether the postings alone decide the condition."""
    return not condition.absent and _is_looked_up(condition)


def width(condition: Condition) -> int:
    """Postings that the condition stands in."""
    return 1 if _needs_presence(condition) else len(condition.exact) + len(condition.operators)


def _needs_presence(condition: Condition) -> bool:
    """Other operators are found by the field being there; what they ask is checked afterwards."""
    return condition.present or not _is_looked_up(condition)


def _is_looked_up(condition: Condition) -> bool:
    return all(isinstance(operator, _Affix) for operator in condition.operators)


class Postings:
    """The branches that ask something of one field, by what they ask. A field that may be absent is not posted."""

    def __init__(self) -> None:
        self.everyone = BitMap()
        self._values: dict[Token, Numbers] = {}
        self._prefixes = _Beginnings()
        self._suffixes = _Beginnings()  # of the mirrored text
        self._present = BitMap()

    @property
    def variety(self) -> int:
        """Distinct values, prefixes and suffixes asked for."""
        return len(self._values) + len(self._prefixes.numbers) + len(self._suffixes.numbers)

    def post(self, condition: Condition, number: int) -> None:
        """Enter a branch."""
        self.everyone.add(number)
        if _needs_presence(condition):
            self._present.add(number)
            return
        for token in condition.exact:
            add(self._values, token, number)
        for beginnings, text in self._affixes_of(condition):
            beginnings.add(text, number)

    def withdraw(self, condition: Condition, number: int) -> None:
        """Take a branch out; the condition is the one it was entered with."""
        self.everyone.discard(number)
        if _needs_presence(condition):
            self._present.discard(number)
            return
        for token in condition.exact:
            discard(self._values, token, number)
        for beginnings, text in self._affixes_of(condition):
            beginnings.discard(text, number)

    def found(self, leaves: Iterable[Leaf]) -> Iterator[Numbers]:
        """The branches that the leaves of the field speak for, in several sets."""
        if self._present:
            yield self._present
        values, prefixes, suffixes = self._values, self._prefixes, self._suffixes
        for value, token, _, _ in leaves:
            if (numbers := values.get(token)) is not None:
                yield numbers
            if isinstance(value, str):
                if prefixes.numbers:
                    yield from prefixes.found(value)
                if suffixes.numbers:
                    yield from suffixes.found(value[::-1])

    def _affixes_of(self, condition: Condition) -> Iterator[tuple["_Beginnings", str]]:
        for operator in condition.operators:
            match operator:
                case Prefix(text):
                    yield self._prefixes, text
                case Suffix(text):
                    yield self._suffixes, text[::-1]


class _Beginnings:
    """Numbers by how a text begins. A look-up costs as many steps as the beginnings have different lengths."""

    def __init__(self) -> None:
        self.numbers: dict[str, Numbers] = {}
        self._lengths: dict[int, int] = {}  # length -> distinct beginnings that long

    def add(self, beginning: str, number: int) -> None:
        if add(self.numbers, beginning, number):
            self._lengths[len(beginning)] = self._lengths.get(len(beginning), 0) + 1

    def discard(self, beginning: str, number: int) -> None:
        if discard(self.numbers, beginning, number):
            self._lengths[len(beginning)] -= 1
            if not self._lengths[len(beginning)]:
                del self._lengths[len(beginning)]

    def found(self, text: str) -> Iterator[Numbers]:
        for length in self._lengths:
            if length <= len(text) and (numbers := self.numbers.get(text[:length])) is not None:
                yield numbers
