"""When two scalars are the same value: the token of a value is equal to another's exactly when the values are.

Knows nothing of fields or operators. Types never mix; numbers are equal by value; strings that are IP addresses are
equal as addresses.
"""

import re
from math import isfinite

Token = str | float | tuple[str | int, str | int]
"""A string stands for itself; a number is its double; the rest are pairs, which equal neither."""

NULL: Token = ("literal", "null")
TRUE: Token = ("literal", "true")
FALSE: Token = ("literal", "false")

_IPV4 = re.compile(r"[0-9]+\.[0-9]+\.[0-9]+\.[0-9]+")
_IPV6 = re.compile(r"[0-9a-fA-F:]*:[0-9a-fA-F:]*")
_LONGEST_IPV4 = 15


def token_of(value: object) -> Token:
    """The token of a JSON scalar.

    An integer that is not the shortest decimal of a double (beyond about 2**53) equals only the same digits.
    Raises TypeError for anything that is no JSON scalar, and ValueError for NaN and infinities.
    """
    if isinstance(value, str):
        return address_of(value) or value
    if value is None:
        return NULL
    if value is True:
        return TRUE
    if value is False:
        return FALSE
    if isinstance(value, float):
        if not isfinite(value):
            raise ValueError("not a finite number")
        return value + 0.0  # -0.0 becomes 0.0, so that its text is one too
    if isinstance(value, int):
        return _number(value)
    raise TypeError("not a JSON value")


def _number(value: int) -> Token:
    if -(2**53) <= value <= 2**53:
        return float(value)
    try:
        double = float(value)
    except OverflowError:
        return ("digits", str(value))
    shortest = repr(double)
    mantissa, _, exponent = shortest.partition("e")
    whole, _, fraction = mantissa.partition(".")
    fraction = fraction.rstrip("0")
    zeros = int(exponent or 0) - len(fraction)
    return double if int(whole + fraction) * 10**zeros == value else ("digits", str(value))


def address_of(text: str) -> tuple[int, int] | None:
    """The IP address that a string is, as (4 or 6, number), or None.

    Octets are decimal (`010.0.0.1` is 10.0.0.1); an IPv4-mapped IPv6 address is that IPv4 address. No ports, zones,
    brackets or dotted tails.
    """
    if _IPV4.fullmatch(text):
        return _ipv4(text)
    if _IPV6.fullmatch(text):
        return _ipv6(text)
    return None


def _ipv4(text: str) -> tuple[int, int] | None:
    if len(text) > _LONGEST_IPV4:
        return None
    number = 0
    for part in text.split("."):
        octet = int(part)
        if octet > 255:
            return None
        number = number << 8 | octet
    return (4, number)


def _ipv6(text: str) -> tuple[int, int] | None:
    head, gap, tail = text.partition("::")
    left = head.split(":") if head else []
    right = tail.split(":") if tail else []
    missing = 8 - len(left) - len(right)
    if missing < 1 if gap else missing:
        return None
    number = 0
    for group in [*left, *["0"] * missing, *right]:
        value = int(group, 16) if group else 0x10000  # an empty group, as in ":::", is no number
        if value > 0xFFFF:
            return None
        number = number << 16 | value
    return (4, number & 0xFFFFFFFF) if number >> 32 == 0xFFFF else (6, number)
