"""Why an event passes a filter or not, field by field. For people; matching itself does not need it."""

import msgspec

from libs.common.domain.pattern.casing import Forms, reverse
from libs.common.domain.pattern.fields import Fields
from libs.common.domain.pattern.matching import holds, holds_alone
from libs.common.domain.pattern.model import Condition, Pattern
from libs.common.domain.pattern.operators import (
    AnythingButMatching,
    AnythingButNumbers,
    AnythingButTexts,
    Cidr,
    EqualsIgnoreCase,
    Numeric,
    Operator,
    Prefix,
    PrefixIgnoreCase,
    Suffix,
    SuffixIgnoreCase,
    Wildcard,
    encode_key,
)
from libs.common.domain.pattern.values import Token


class FieldAnswer(msgspec.Struct, frozen=True):
    """What one branch asks of one field, and what the event says."""

    field: str
    wanted: tuple[str, ...]
    values: tuple[object, ...]
    """The event's values; empty when the field is missing."""
    holds: bool


class BranchAnswer(msgspec.Struct, frozen=True):
    """One branch. All fields may hold and the branch not: then they hold in different elements of one array."""

    holds: bool
    fields: tuple[FieldAnswer, ...]


def explain(pattern: Pattern, fields: Fields) -> list[BranchAnswer]:
    """The answers of all branches; the event passes when one of them holds."""
    answers = []
    for branch in pattern.branches:
        whole = holds(branch, fields)
        each = tuple(_answer(condition, fields, whole) for condition in branch.conditions)
        answers.append(BranchAnswer(whole, each))
    return answers


def _answer(condition: Condition, fields: Fields, whole: bool) -> FieldAnswer:
    values = tuple(leaf.value for leaf in fields.leaves.get(condition.path, ()))
    # An absence may hold only beside the others, for the element that they have fixed.
    return FieldAnswer(condition.path, _wanted(condition), values, whole or holds_alone(condition, fields))


def _wanted(condition: Condition) -> tuple[str, ...]:
    words = sorted(_show(token) for token in condition.exact)
    words += [_describe(operator) for operator in condition.operators]
    words += ["exists"] * condition.present + ["absent"] * condition.absent
    return tuple(words)


def _show(token: Token) -> str:
    if isinstance(token, str):
        return encode_key(token)
    if isinstance(token, float):
        return f"{token:.0f}" if token.is_integer() and abs(token) < 2**53 else repr(token)
    kind, value = token
    return str(value) if isinstance(kind, str) else f"address {_address(kind, int(value))}"


def _address(family: int, number: int) -> str:
    if family == 4:
        return ".".join(str(number >> shift & 0xFF) for shift in range(24, -1, -8))
    return ":".join(f"{number >> shift & 0xFFFF:x}" for shift in range(112, -1, -16))


def _describe(operator: Operator) -> str:
    match operator:
        case Prefix(text):
            return f"prefix {encode_key(text)}"
        case Suffix(text):
            return f"suffix {encode_key(text)}"
        case EqualsIgnoreCase(forms):
            return f"equals-ignore-case {_text(forms)}"
        case PrefixIgnoreCase(forms):
            return f"prefix, ignoring case, {_text(forms)}"
        case SuffixIgnoreCase(forms):
            return f"suffix, ignoring case, {_text(reverse(forms))}"
        case Wildcard(parts):
            escaped = (part.replace("\\", "\\\\").replace("*", "\\*") for part in parts)
            return f"wildcard {encode_key('*'.join(escaped))}"
        case Numeric(bottom, bottom_open, top, top_open):
            low = [] if bottom is None else [f"{'>' if bottom_open else '>='} {_show(bottom)}"]
            high = [] if top is None else [f"{'<' if top_open else '<='} {_show(top)}"]
            return " and ".join(low + high)
        case Cidr(family, first, last):
            return f"cidr {_address(family, first)} to {_address(family, last)}"
        case AnythingButTexts(texts):
            return f"anything but {', '.join(map(encode_key, sorted(texts)))}"
        case AnythingButNumbers(numbers):
            return f"anything but {', '.join(map(_show, sorted(numbers)))}"
        case AnythingButMatching(operators):
            return f"anything but {', '.join(map(_describe, operators))}"
        case _:
            raise TypeError(f"no words for {type(operator).__name__}")


def _text(forms: Forms) -> str:
    return encode_key("".join(lower for lower, _ in forms))
