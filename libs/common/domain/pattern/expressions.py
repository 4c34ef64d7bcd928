"""What one match expression, such as `{"prefix": "a"}`, may hold, and the operator that it means."""

import re
from collections.abc import Callable, Mapping

from libs.common.domain.pattern.errors import InvalidPattern
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
)
from libs.common.domain.pattern.values import address_of, token_of

_MASK = re.compile("[0-9]{1,3}")
_BITS = {4: 32, 6: 128}
_LOWER = {">": True, ">=": False}
_UPPER = {"<": True, "<=": False}


def read_text(value: object, where: str) -> str:
    """A string that can be written as UTF-8."""
    if not isinstance(value, str):
        raise InvalidPattern(where, "takes a string")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise InvalidPattern(where, "holds half of a surrogate pair") from None
    return value


def read_number(value: object, where: str) -> float:
    """A number that a double holds exactly, as numeric comparison needs it (rules 8 and 9)."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise InvalidPattern(where, "takes a number")
    try:
        token = token_of(value)
    except ValueError as error:
        raise InvalidPattern(where, str(error)) from None
    if not isinstance(token, float):
        raise InvalidPattern(where, "a number that a double cannot hold; write it as an exact alternative")
    return token


def read_prefix(value: object, where: str) -> Operator:
    """`prefix`: a text, or a text whose case does not matter."""
    if isinstance(value, Mapping):
        return PrefixIgnoreCase.of(_read_case_free(value, where))
    return Prefix(read_text(value, where))


def read_suffix(value: object, where: str) -> Operator:
    """`suffix`: a text, or a text whose case does not matter."""
    if isinstance(value, Mapping):
        return SuffixIgnoreCase.of(_read_case_free(value, where))
    return Suffix(read_text(value, where))


def _read_case_free(value: Mapping[object, object], where: str) -> str:
    if set(value) != {"equals-ignore-case"}:
        raise InvalidPattern(where, 'takes a string or {"equals-ignore-case": string}')
    return read_text(value["equals-ignore-case"], f"{where}.equals-ignore-case")


def read_equals_ignore_case(value: object, where: str) -> Operator:
    """`equals-ignore-case`: a text."""
    return EqualsIgnoreCase.of(read_text(value, where))


def read_wildcard(value: object, where: str) -> Operator:
    r"""`wildcard`: a text in which `*` is any run of characters; `\*` and `\\` are the only escapes."""
    text = read_text(value, where)
    parts, part, at, after_star = [], "", 0, False
    while at < len(text):
        character = text[at]
        if character == "*":
            if after_star:
                raise InvalidPattern(where, "two wildcard characters in a row")
            parts.append(part)
            part, after_star = "", True
        else:
            if character == "\\":
                at += 1
                character = text[at : at + 1]
                if character not in ("*", "\\"):
                    raise InvalidPattern(where, r"a backslash stands only before * or \ ")
            part += character
            after_star = False
        at += 1
    return Wildcard((*parts, part))


def read_numeric(value: object, where: str) -> Operator:
    """`numeric`: `[operator, number]`, or a range with the bottom first."""
    if not isinstance(value, list) or len(value) not in (2, 4):
        raise InvalidPattern(where, "takes [operator, number] or [operator, number, operator, number]")
    sign, number = value[0], read_number(value[1], f"{where}[1]")
    if len(value) == 4:
        return _read_range(value, number, where)
    if sign == "=":
        return Numeric(number, False, number, False)
    if isinstance(sign, str) and sign in _LOWER:
        return Numeric(number, _LOWER[sign], None, False)
    if isinstance(sign, str) and sign in _UPPER:
        return Numeric(None, False, number, _UPPER[sign])
    raise InvalidPattern(f"{where}[0]", "is one of =, <, <=, >, >=")


def _read_range(value: list[object], bottom: float, where: str) -> Operator:
    lower, _, upper, number = value
    if not (isinstance(lower, str) and lower in _LOWER and isinstance(upper, str) and upper in _UPPER):
        raise InvalidPattern(where, "a range starts with > or >= and ends with < or <=")
    top = read_number(number, f"{where}[3]")
    if bottom >= top:
        raise InvalidPattern(where, "the bottom of a range is below its top")
    return Numeric(bottom, _LOWER[lower], top, _UPPER[upper])


def read_cidr(value: object, where: str) -> Operator:
    """`cidr`: an address and a mask of 0 to 31 (IPv4) or 0 to 127 (IPv6) bits; host bits are ignored."""
    text, _, mask = read_text(value, where).partition("/")
    address = address_of(text)
    if address is None or not _MASK.fullmatch(mask):
        raise InvalidPattern(where, "takes address/bits, such as 10.0.0.0/8")
    family, number = address
    host_bits = _BITS[family] - int(mask)
    if host_bits < 1:
        raise InvalidPattern(where, f"takes at most {_BITS[family] - 1} bits; write one address as a plain string")
    first = number >> host_bits << host_bits
    return Cidr(family, first, first + (1 << host_bits) - 1)


def read_anything_but(value: object, where: str) -> Operator:
    """`anything-but`: strings, numbers, or one nested operator with strings."""
    if isinstance(value, Mapping):
        return _read_anything_but_matching(value, where)
    items = _placed(value, where)
    if items and all(isinstance(item, str) for item, _ in items):
        return AnythingButTexts(frozenset(read_text(item, place) for item, place in items))
    if items and all(isinstance(item, (int, float)) and not isinstance(item, bool) for item, _ in items):
        return AnythingButNumbers(frozenset(read_number(item, place) for item, place in items))
    raise InvalidPattern(where, "takes strings or numbers, not both, and at least one")


def _read_anything_but_matching(value: Mapping[object, object], where: str) -> Operator:
    names = list(value)
    if len(names) != 1 or names[0] not in _UNDER_ANYTHING_BUT:
        raise InvalidPattern(where, f"takes one of {', '.join(_UNDER_ANYTHING_BUT)}")
    name = str(names[0])
    inside = f"{where}.{name}"
    items = _placed(value[names[0]], inside)
    if not items:
        raise InvalidPattern(inside, "takes at least one string")
    for item, place in items:
        if read_text(item, place) == "" and name in ("prefix", "suffix"):
            raise InvalidPattern(place, "takes strings that are not empty")
    return AnythingButMatching(tuple(_UNDER_ANYTHING_BUT[name](item, place) for item, place in items))


def _placed(value: object, where: str) -> list[tuple[object, str]]:
    """The members of a list, each with its place; what is no list is its own only member."""
    if isinstance(value, list):
        return [(item, f"{where}[{number}]") for number, item in enumerate(value)]
    return [(value, where)]


Reader = Callable[[object, str], Operator]

_UNDER_ANYTHING_BUT: dict[str, Reader] = {
    "prefix": read_prefix,
    "suffix": read_suffix,
    "equals-ignore-case": read_equals_ignore_case,
    "wildcard": read_wildcard,
}

READERS: dict[str, Reader] = {
    **_UNDER_ANYTHING_BUT,
    "anything-but": read_anything_but,
    "numeric": read_numeric,
    "cidr": read_cidr,
}
"""The operators, but for `exists`, which is no question about a value."""
