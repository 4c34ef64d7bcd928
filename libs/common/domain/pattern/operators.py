"""The match expressions of the filter language, each of which says whether it accepts one leaf.

An operator is a frozen value. Two operators with the same `key` accept the same leaves, so equal filters collapse.
"""

from itertools import islice
from typing import Protocol

import msgspec

from libs.common.domain.pattern.casing import Forms, consume, forms_of, reverse
from libs.common.domain.pattern.fields import Leaf


class Operator(Protocol):
    """A match expression other than `exists`, which looks at a whole field and not at a leaf."""

    @property
    def key(self) -> object:
        """What distinguishes this operator, as a JSON value."""
        ...

    def accepts(self, leaf: Leaf) -> bool:
        """Whether the leaf satisfies the expression."""
        ...


class Prefix(msgspec.Struct, frozen=True):
    """Strings that start with the text; the empty text accepts every string."""

    text: str

    @property
    def key(self) -> object:
        return ["prefix", self.text]

    def accepts(self, leaf: Leaf) -> bool:
        return isinstance(leaf.value, str) and leaf.value.startswith(self.text)


class Suffix(msgspec.Struct, frozen=True):
    """Strings that end with the text."""

    text: str

    @property
    def key(self) -> object:
        return ["suffix", self.text]

    def accepts(self, leaf: Leaf) -> bool:
        return isinstance(leaf.value, str) and leaf.value.endswith(self.text)


class EqualsIgnoreCase(msgspec.Struct, frozen=True):
    """Strings that are the text but for case, see `casing`."""

    forms: Forms

    @classmethod
    def of(cls, text: str) -> "EqualsIgnoreCase":
        return cls(forms_of(text))

    @property
    def key(self) -> object:
        return ["equals-ignore-case", *map("\n".join, self.forms)]

    def accepts(self, leaf: Leaf) -> bool:
        return isinstance(leaf.value, str) and consume(self.forms, leaf.value) == len(leaf.value)


class PrefixIgnoreCase(msgspec.Struct, frozen=True):
    """Strings that start with the text but for case."""

    forms: Forms

    @classmethod
    def of(cls, text: str) -> "PrefixIgnoreCase":
        return cls(forms_of(text))

    @property
    def key(self) -> object:
        return ["prefix-ignore-case", *map("\n".join, self.forms)]

    def accepts(self, leaf: Leaf) -> bool:
        return isinstance(leaf.value, str) and consume(self.forms, leaf.value) >= 0


class SuffixIgnoreCase(msgspec.Struct, frozen=True):
    """Strings that end with the text but for case; the forms are mirrored and meet the mirrored value."""

    forms: Forms

    @classmethod
    def of(cls, text: str) -> "SuffixIgnoreCase":
        return cls(reverse(forms_of(text)))

    @property
    def key(self) -> object:
        return ["suffix-ignore-case", *map("\n".join, self.forms)]

    def accepts(self, leaf: Leaf) -> bool:
        return isinstance(leaf.value, str) and consume(self.forms, leaf.value[::-1]) >= 0


class Wildcard(msgspec.Struct, frozen=True):
    """Strings made of the parts in this order with any text in between. One part: exactly that text."""

    parts: tuple[str, ...]

    @property
    def key(self) -> object:
        return ["wildcard", *self.parts]

    def accepts(self, leaf: Leaf) -> bool:
        value = leaf.value
        if not isinstance(value, str):
            return False
        first, last = self.parts[0], self.parts[-1]
        if len(self.parts) == 1:
            return value == first
        at, end = len(first), len(value) - len(last)
        if end < at or not value.startswith(first) or not value.endswith(last):
            return False
        # The leftmost place is always the best one, so nothing is ever tried twice.
        for part in islice(self.parts, 1, len(self.parts) - 1):
            found = value.find(part, at, end)
            if found < 0:
                return False
            at = found + len(part)
        return True


class Numeric(msgspec.Struct, frozen=True):
    """Numbers between two bounds; None is no bound. A bound that is `open` is itself outside."""

    bottom: float | None
    bottom_open: bool
    top: float | None
    top_open: bool

    @property
    def key(self) -> object:
        return ["numeric", repr(self.bottom), self.bottom_open, repr(self.top), self.top_open]

    def accepts(self, leaf: Leaf) -> bool:
        number = leaf.token
        if not isinstance(number, float):
            return False
        if self.bottom is not None and (number < self.bottom or (self.bottom_open and number == self.bottom)):
            return False
        return self.top is None or not (number > self.top or (self.top_open and number == self.top))


class Cidr(msgspec.Struct, frozen=True):
    """IP addresses of one family (4 or 6) in a closed range."""

    family: int
    first: int
    last: int

    @property
    def key(self) -> object:
        return ["cidr", self.family, str(self.first), str(self.last)]

    def accepts(self, leaf: Leaf) -> bool:
        if not (isinstance(leaf.value, str) and isinstance(leaf.token, tuple)):
            return False
        family, number = leaf.token
        return family == self.family and isinstance(number, int) and self.first <= number <= self.last


class AnythingButTexts(msgspec.Struct, frozen=True):
    """Every value but these strings; compares text, never addresses."""

    texts: frozenset[str]

    @property
    def key(self) -> object:
        return ["anything-but", *sorted(self.texts)]

    def accepts(self, leaf: Leaf) -> bool:
        return not isinstance(leaf.value, str) or leaf.value not in self.texts


class AnythingButNumbers(msgspec.Struct, frozen=True):
    """Every value but these numbers."""

    numbers: frozenset[float]

    @property
    def key(self) -> object:
        return ["anything-but-numbers", *map(repr, sorted(self.numbers))]

    def accepts(self, leaf: Leaf) -> bool:
        return not isinstance(leaf.token, float) or leaf.token not in self.numbers


class AnythingButMatching(msgspec.Struct, frozen=True):
    """Every value that none of the operators accepts; they all look at strings only."""

    operators: tuple[Operator, ...]

    @property
    def key(self) -> object:
        return ["anything-but-matching", *sorted(encode_key(operator.key) for operator in self.operators)]

    def accepts(self, leaf: Leaf) -> bool:
        return not any(operator.accepts(leaf) for operator in self.operators)


def encode_key(key: object) -> str:
    """A key as canonical text."""
    return msgspec.json.encode(key).decode()
