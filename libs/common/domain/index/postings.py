"""Which branches of filters one value of one field speaks for.

Knows values, prefixes and presence, which is what a look-up can answer. It does not know what a branch is: numbers go
in, numbers come out.
"""

from collections.abc import Iterable, Iterator

from pyroaring import BitMap

from libs.common.domain.index.numbers import Numbers, add, discard
from libs.common.domain.pattern.fields import Leaf
from libs.common.domain.pattern.model import Condition
from libs.common.domain.pattern.operators import Prefix
from libs.common.domain.pattern.values import Token


def answers_wholly(condition: Condition) -> bool:
    """Whether the postings alone decide the condition."""
    return not condition.absent and all(isinstance(operator, Prefix) for operator in condition.operators)


def width(condition: Condition) -> int:
    """Postings that the condition stands in."""
    return 1 if _needs_presence(condition) else len(condition.exact) + len(condition.operators)


def _needs_presence(condition: Condition) -> bool:
    """Other operators than prefix are found by the field being there; what they ask is checked afterwards."""
    return condition.present or not all(isinstance(operator, Prefix) for operator in condition.operators)


class Postings:
    """The branches that ask something of one field, by what they ask. A field that may be absent is not posted."""

    def __init__(self) -> None:
        self.everyone = BitMap()
        self._values: dict[Token, Numbers] = {}
        self._prefixes: dict[str, Numbers] = {}
        self._lengths: dict[int, int] = {}  # length of a prefix -> distinct prefixes that long
        self._present = BitMap()

    @property
    def variety(self) -> int:
        """Distinct values and prefixes asked for."""
        return len(self._values) + len(self._prefixes)

    def post(self, condition: Condition, number: int) -> None:
        """Enter a branch."""
        self.everyone.add(number)
        if _needs_presence(condition):
            self._present.add(number)
            return
        for token in condition.exact:
            add(self._values, token, number)
        for text in _prefixes_of(condition):
            if add(self._prefixes, text, number):
                self._lengths[len(text)] = self._lengths.get(len(text), 0) + 1

    def withdraw(self, condition: Condition, number: int) -> None:
        """Take a branch out; the condition is the one it was entered with."""
        self.everyone.discard(number)
        if _needs_presence(condition):
            self._present.discard(number)
            return
        for token in condition.exact:
            discard(self._values, token, number)
        for text in _prefixes_of(condition):
            if discard(self._prefixes, text, number):
                self._lengths[len(text)] -= 1
                if not self._lengths[len(text)]:
                    del self._lengths[len(text)]

    def found(self, leaves: Iterable[Leaf]) -> Iterator[Numbers]:
        """The branches that the leaves of the field speak for, in several sets."""
        if self._present:
            yield self._present
        values, prefixes = self._values, self._prefixes
        for value, token, _, _ in leaves:
            if (numbers := values.get(token)) is not None:
                yield numbers
            if prefixes and isinstance(value, str):
                for length in self._lengths:
                    if length <= len(value) and (numbers := prefixes.get(value[:length])) is not None:
                        yield numbers


def _prefixes_of(condition: Condition) -> list[str]:
    return [operator.text for operator in condition.operators if isinstance(operator, Prefix)]
