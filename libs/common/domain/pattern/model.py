"""A parsed filter: a choice of branches, each of which asks something of several fields."""

from collections.abc import Iterable

import msgspec

from libs.common.domain.pattern.fields import Leaf
from libs.common.domain.pattern.operators import Operator, encode_key
from libs.common.domain.pattern.values import Token


class Condition(msgspec.Struct, frozen=True, eq=False):
    """What one branch asks of one field; the parts are alternatives."""

    path: str
    exact: frozenset[Token]
    operators: tuple[Operator, ...]
    present: bool
    """Any value will do (`exists: true`)."""
    absent: bool
    """The field may be missing (`exists: false`)."""
    key: str


class Branch(msgspec.Struct, frozen=True, eq=False):
    """Conditions that must all hold, ordered by path: array consistency is judged in that order (rule 24)."""

    conditions: tuple[Condition, ...]
    key: str


class Pattern(msgspec.Struct, frozen=True, eq=False):
    """A filter; an event passes when one of the branches holds. Patterns are equal when their keys are."""

    branches: tuple[Branch, ...]
    key: str

    def __eq__(self, other: object) -> bool:
        return self.key == other.key if isinstance(other, Pattern) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.key)


def accepts(condition: Condition, leaf: Leaf) -> bool:
    """Whether one of the condition's alternatives accepts the leaf."""
    if condition.present or leaf.token in condition.exact:
        return True
    return any(operator.accepts(leaf) for operator in condition.operators)


def make_condition(
    path: str, exact: Iterable[Token], operators: Iterable[Operator], *, present: bool, absent: bool
) -> Condition:
    """A condition in canonical form: alternatives without repetition and in a fixed order."""
    tokens = frozenset(exact)
    by_key = dict(sorted((encode_key(operator.key), operator) for operator in operators))
    words = sorted(encode_key(_token_key(token)) for token in tokens)
    key = encode_key([path, words, list(by_key), present, absent])
    return Condition(path, tokens, tuple(by_key.values()), present, absent, key)


def make_pattern(branches: Iterable[Iterable[Condition]]) -> Pattern:
    """A pattern in canonical form: branches without repetition and in a fixed order."""
    made = [_make_branch(conditions) for conditions in branches]
    by_key = {branch.key: branch for branch in sorted(made, key=lambda branch: branch.key)}
    return Pattern(tuple(by_key.values()), "|".join(by_key))


def _make_branch(conditions: Iterable[Condition]) -> Branch:
    ordered = tuple(sorted(conditions, key=lambda condition: path_order(condition.path)))
    return Branch(ordered, "&".join(condition.key for condition in ordered))


def path_order(path: str) -> bytes:
    """The order of paths: by UTF-16 code units, as in the reference implementation."""
    return path.encode("utf-16-be", "surrogatepass")


def _token_key(token: Token) -> object:
    if isinstance(token, str):
        return token
    if isinstance(token, float):
        return ["number", repr(token)]
    kind, value = token
    return [kind, str(value)]


EVERYTHING = make_pattern([()])
"""The filter that every event passes. It has no spelling in the language; an absent filter means it."""
