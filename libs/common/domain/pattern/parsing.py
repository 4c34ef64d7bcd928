"""From the JSON of a filter to a pattern: what is a field, what is a choice, what is refused and where.

`$or` is expanded from left to right into branches, each a rule of its own; a path written twice keeps the later
alternatives, branch by branch. Bounds keep any filter from being a bomb.
"""

from collections.abc import Mapping

import msgspec

from libs.common.domain.pattern.errors import InvalidPattern
from libs.common.domain.pattern.expressions import READERS, read_text
from libs.common.domain.pattern.model import EVERYTHING, Condition, Pattern, make_condition, make_pattern
from libs.common.domain.pattern.operators import Numeric, Operator
from libs.common.domain.pattern.values import Token, token_of

MAX_BRANCHES = 1_000
"""Branches that `$or` may expand to; ten `$or` of two are 1,024."""
MAX_CONDITIONS = 10_000
"""Conditions of all branches together."""
MAX_ALTERNATIVES = 10_000
"""Alternatives in the filter as written, members of lists included."""
MAX_EXPANDED = 100_000
"""Alternatives of all branches together: each has to be found in the index, and is entered there once per branch."""
MAX_PATTERN_DEPTH = 100
"""Levels of objects and `$or`."""
MAX_PATTERN_BYTES = 256 * 1024

_RESERVED = frozenset(
    """exactly equals-ignore-case prefix suffix anything-but exists wildcard numeric cidr = < <= > >= regex not-wildcard
    not-equals-ignore-case date-after date-on-or-after date-before date-on-or-before in-date-range ip-address-in-range
    ip-address-not-in-range""".split()  # noqa: SIM905 - a list of 24 words is easier to read in three lines than in 24
)
"""Operators, present and future: no names of fields inside `$or`, where a slip would silently become a field."""

Rule = dict[str, Condition]


def parse(pattern: Mapping[str, object]) -> Pattern:
    """The filter that a JSON object means. Raises InvalidPattern with the place and the reason."""
    if not isinstance(pattern, Mapping):
        raise InvalidPattern("", "a pattern is a JSON object")
    rules = _Parser().read_object(pattern, _Place(), [{}])
    conditions = (condition for rule in rules for condition in rule.values())
    if sum(len(condition.exact) + len(condition.operators) for condition in conditions) > MAX_EXPANDED:
        raise InvalidPattern("", f"more than {MAX_EXPANDED} alternatives when $or is expanded")
    return make_pattern(rule.values() for rule in rules)


def parse_optional(pattern: Mapping[str, object] | None) -> Pattern:
    """The same, but None, the absent filter, is the one that everything passes."""
    return EVERYTHING if pattern is None else parse(pattern)


def parse_json(text: str | bytes) -> Pattern:
    """The filter in a JSON text; integers stay exact, other numbers are doubles. Raises InvalidPattern."""
    if len(text) > MAX_PATTERN_BYTES:
        raise InvalidPattern("", f"longer than {MAX_PATTERN_BYTES} bytes")
    try:
        return parse(msgspec.json.decode(text))
    except (msgspec.MsgspecError, UnicodeError) as error:
        raise InvalidPattern("", f"not JSON: {error}") from None
    except RecursionError:
        raise InvalidPattern("", f"nested deeper than {MAX_PATTERN_DEPTH} levels") from None


class _Place(msgspec.Struct, frozen=True):
    """Where the parser is: what goes before a name in a path, and in the place that an error names."""

    path: str = ""
    shown: str = ""
    depth: int = 1
    inside_or: bool = False


class _Parser:
    """Reads one filter, counting its alternatives."""

    def __init__(self) -> None:
        self.alternatives = 0

    def read_object(self, source: Mapping[str, object], place: _Place, rules: list[Rule]) -> list[Rule]:
        """The rules so far, with what the object adds to each."""
        here = place.shown.removesuffix(".")
        if place.depth > MAX_PATTERN_DEPTH:
            raise InvalidPattern(here[:200], f"nested deeper than {MAX_PATTERN_DEPTH} levels")
        if not source:
            raise InvalidPattern(here, "an object is not empty")
        for name, value in source.items():
            where = place.shown + read_text(name, here)
            path = place.path + name
            if name == "$or":
                rules = self.read_or(value, place, rules)
            elif place.inside_or and name in _RESERVED:
                raise InvalidPattern(where, "the name of an operator is no field inside $or")
            elif isinstance(value, Mapping):
                inner = _Place(path + ".", where + ".", place.depth + 1, place.inside_or)
                rules = self.read_object(value, inner, rules)
            elif isinstance(value, list):
                condition = self.read_field(value, path, where)
                for rule in rules:
                    rule[path] = condition
                _refuse_too_many(rules, where)
            else:
                raise InvalidPattern(where, "a field holds an array of alternatives or an object")
        return rules

    def read_or(self, value: object, place: _Place, rules: list[Rule]) -> list[Rule]:
        """The rules of every choice; each choice starts from a copy of the rules so far."""
        where = place.shown + "$or"
        if not isinstance(value, list) or len(value) < 2:
            raise InvalidPattern(where, "takes an array of two or more objects")
        branches: list[Rule] = []
        for number, choice in enumerate(value):
            shown = f"{where}[{number}]"
            if not isinstance(choice, Mapping):
                raise InvalidPattern(shown, "a choice is an object")
            inner = _Place(place.path, shown + ".", place.depth + 1, inside_or=True)
            branches += self.read_object(choice, inner, [dict(rule) for rule in rules])
            _refuse_too_many(branches, where)
        return branches

    def read_field(self, source: list[object], path: str, where: str) -> Condition:
        """The condition that an array of alternatives means."""
        exact: list[Token] = []
        operators: list[Operator] = []
        exists: set[bool] = set()
        if not source:
            raise InvalidPattern(where, "an array of alternatives is not empty")
        for number, alternative in enumerate(source):
            here = f"{where}[{number}]"
            self.count(alternative, here)
            if isinstance(alternative, Mapping):
                found = _read_expression(alternative, here)
                if isinstance(found, bool):
                    exists.add(found)
                elif isinstance(found, Numeric) and found.bottom is not None and found.bottom == found.top:
                    exact.append(found.bottom)  # one number: equal by value, as an exact alternative is
                else:
                    operators.append(found)
            else:
                exact.append(_read_scalar(alternative, here))
        return make_condition(path, exact, operators, present=True in exists, absent=False in exists)

    def count(self, alternative: object, where: str) -> None:
        """Count an alternative with the longest list inside it."""
        self.alternatives += 1
        while isinstance(alternative, Mapping) and len(alternative) == 1:
            alternative = next(iter(alternative.values()))
        if isinstance(alternative, list):
            self.alternatives += len(alternative)
        if self.alternatives > MAX_ALTERNATIVES:
            raise InvalidPattern(where, f"more than {MAX_ALTERNATIVES} alternatives")


def _read_scalar(value: object, where: str) -> Token:
    if isinstance(value, str):
        read_text(value, where)
    try:
        return token_of(value)
    except TypeError:
        raise InvalidPattern(where, "an alternative is a string, number, boolean, null or match expression") from None
    except ValueError as error:
        raise InvalidPattern(where, str(error)) from None


def _read_expression(source: Mapping[object, object], where: str) -> Operator | bool:
    """The operator of a match expression; of `exists`, its answer."""
    if len(source) != 1:
        raise InvalidPattern(where, "a match expression has exactly one operator")
    name, value = next(iter(source.items()))
    if name == "exists":
        if not isinstance(value, bool):
            raise InvalidPattern(f"{where}.exists", "takes true or false")
        return value
    reader = READERS.get(name) if isinstance(name, str) else None
    if reader is None:
        raise InvalidPattern(where, f"no operator; these are: {', '.join(READERS)}, exists")
    return reader(value, f"{where}.{name}")


def _refuse_too_many(rules: list[Rule], where: str) -> None:
    if len(rules) > MAX_BRANCHES:
        raise InvalidPattern(where, f"more than {MAX_BRANCHES} branches when $or is expanded")
    if sum(map(len, rules)) > MAX_CONDITIONS:
        raise InvalidPattern(where, f"more than {MAX_CONDITIONS} conditions when $or is expanded")
