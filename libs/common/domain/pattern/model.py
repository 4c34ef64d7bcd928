"""A parsed filter: a choice of branches, each of which asks something of several fields."""

from collections import defaultdict
from collections.abc import Iterable
from hashlib import blake2b

import msgspec

from libs.common.domain.pattern.fields import Leaf
from libs.common.domain.pattern.operators import Operator, Prefix, Suffix, encode_key
from libs.common.domain.pattern.values import Token

_LONGEST_KEY = 80
"""Characters; a longer one is replaced by its digest. A branch repeats the keys of its conditions, and a pattern those
of 1,000 branches: a filter of 200 KB took 390 MB."""
TextsByLength = tuple[tuple[int, frozenset[str]], ...]


class Condition(msgspec.Struct, frozen=True, eq=False):
    """What one branch asks of one field; the parts are alternatives."""

    path: str
    exact: frozenset[Token]
    operators: tuple[Operator, ...]
    present: bool
    """Any value will do (`exists: true`)."""
    absent: bool
    """The field may be missing (`exists: false`)."""
    starts: TextsByLength
    """The texts of every `prefix`, which a value is looked up in: 1,000 of them cost no more than one."""
    ends: TextsByLength
    """Those of every `suffix`."""
    compared: tuple[Operator, ...]
    """The other operators, each of which looks at a value by itself."""
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
    value = leaf.value
    if isinstance(value, str) and (
        any(value[:length] in texts for length, texts in condition.starts)
        or any(value[max(0, len(value) - length) :] in texts for length, texts in condition.ends)
    ):
        return True
    return any(operator.accepts(leaf) for operator in condition.compared)


def make_condition(
    path: str, exact: Iterable[Token], operators: Iterable[Operator], *, present: bool, absent: bool
) -> Condition:
    """A condition in canonical form: alternatives without repetition and in a fixed order."""
    tokens = frozenset(exact)
    by_key = dict(sorted((encode_key(operator.key), operator) for operator in operators))
    words = sorted(encode_key(_token_key(token)) for token in tokens)
    key = encode_key([path, words, list(by_key), present, absent])
    distinct = tuple(by_key.values())
    return Condition(
        path,
        tokens,
        distinct,
        present,
        absent,
        starts=_by_length(one.text for one in distinct if isinstance(one, Prefix)),
        ends=_by_length(one.text for one in distinct if isinstance(one, Suffix)),
        compared=tuple(one for one in distinct if not isinstance(one, Prefix | Suffix)),
        key=key if len(key) <= _LONGEST_KEY else blake2b(key.encode(), digest_size=24).hexdigest(),
    )


def _by_length(texts: Iterable[str]) -> TextsByLength:
    found: defaultdict[int, set[str]] = defaultdict(set)
    for text in texts:
        found[len(text)].add(text)
    return tuple((length, frozenset(some)) for length, some in sorted(found.items()))


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
