"""The filters and tests that templates have, all of them: each tells the meter what it costs before it works. Pure."""

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import quote

from jinja2 import Undefined, pass_context
from jinja2.runtime import Context
from jinja2.tests import TESTS as JINJA_TESTS

from libs.common.templates.meter import MAX_TEXT, TooMuch, Value, check_number, meter_of, short, text

LOOP = "sigmora:loop"
RANGE = "sigmora:range"
TOGETHER = "sigmora:together"
WEIGHED = "sigmora:weighed"
"""Written into templates by `language.py`; with a colon in them, no author can spell them."""

MAX_RANGE = 1_000

Filter = Callable[..., Any]


def _read(context: Context, value: Value) -> str:
    found = text(value)
    meter_of(context).spend(3 + len(found) // 64)
    return found


def _textual(change: Callable[[str], str], characters: int = 64) -> Filter:
    """`characters`: how many of what it makes take no longer than a step."""

    @pass_context
    def apply(context: Context, value: Value) -> str:
        made = short(change(_read(context, value)))
        meter_of(context).spend(len(made) // characters)
        return made

    return apply


def _numeric(change: Callable[[float], float]) -> Filter:
    def apply(value: Value) -> float:
        return change(_number(value))

    return apply


@pass_context
def _replace(context: Context, value: Value, old: Value, new: Value) -> str:
    found, wanted, instead = (_read(context, each) for each in (value, old, new))
    if not wanted:
        raise ValueError("replace needs a text to look for")
    if len(found) + found.count(wanted) * len(instead) > 2 * MAX_TEXT:  # known before it is made
        raise TooMuch("replace makes too long a text")
    return short(found.replace(wanted, instead))


@pass_context
def _truncate(context: Context, value: Value, length: int = 255, end: Value = "…") -> str:
    found = _read(context, value)
    return found if len(found) <= length else found[: max(0, length)] + _read(context, end)


@pass_context
def _join(context: Context, value: Value, between: Value = "") -> str:
    glue = _read(context, between)
    return _glued(context, _sequence(value), glue)


@pass_context
def _together(context: Context, *values: Value) -> str:
    return _glued(context, values, "")


def _glued(context: Context, values: Iterable[Value], glue: str) -> str:
    parts: list[str] = []
    length = 0
    for value in values:
        parts.append(_read(context, value))
        length += len(parts[-1]) + len(glue)
        if length > MAX_TEXT + len(glue):
            raise TooMuch("joining makes too long a text")
    return short(glue.join(parts))


def _default(value: Value, instead: Value = "", also_if_empty: bool = False) -> Value:
    return instead if isinstance(value, Undefined) or (also_if_empty and not value) else value


@pass_context
def _items(context: Context, value: Value) -> list[tuple[Any, Any]]:
    if not isinstance(value, Mapping):
        raise TypeError("items needs an object")
    meter_of(context).spend(len(value))
    return list(value.items())


def _length(value: Value) -> int:
    return len(value) if isinstance(value, str | Mapping) else len(_sequence(value))


def _first(value: Value) -> Value:
    items = _sequence(value)
    return items[0] if items else None


def _last(value: Value) -> Value:
    items = _sequence(value)
    return items[-1] if items else None


def _fixed(value: Value, digits: int = 2) -> str:
    if not 0 <= digits <= 20:
        raise ValueError("fixed takes 0 to 20 digits")
    return f"{float(_number(value)):.{digits}f}"


def _round(value: Value, digits: int = 0) -> float:
    return round(float(_number(value)), max(-20, min(20, digits)))


@pass_context
def _loop(context: Context, value: Value, steps: int) -> Sequence[Value]:
    items = list(value) if isinstance(value, Mapping) else _sequence(value)
    meter_of(context).spend(len(items) * (steps + 1))
    return items


def _range(*bounds: Value) -> range:
    whole = [bound for bound in bounds if isinstance(bound, int)]
    found = range(*whole)
    if len(whole) < len(bounds) or not -MAX_RANGE <= found.start <= found.stop <= found.start + MAX_RANGE:
        raise ValueError(f"range takes whole numbers and gives at most {MAX_RANGE:,}")
    return found


@pass_context
def _weighed(context: Context, value: Value) -> Value:
    meter_of(context).weigh(value)
    return value


def _divisible(value: Value, num: Value) -> bool:
    return _rest(value, num) == 0


def _even(value: Value) -> bool:
    return _rest(value, 2) == 0


def _odd(value: Value) -> bool:
    return _rest(value, 2) == 1


def _rest(value: Any, divisor: Any) -> float:
    check_number(value)
    check_number(divisor)
    rest: float = value % divisor
    return rest


def _sequence(value: Value) -> Sequence[Value]:
    if isinstance(value, Undefined):
        str(value)  # raises: it names what is missing
    if not isinstance(value, list | tuple | range):
        raise TypeError("a list is needed here")
    return value


def _number(value: Value) -> float:
    if isinstance(value, int | float):
        return value
    written = text(value)
    if len(written) > 64:
        raise ValueError("a number is needed here")
    return float(written)


FILTERS: dict[str, Filter] = {
    "abs": _numeric(abs),
    "capitalize": _textual(str.capitalize, 16),
    "d": _default,
    "default": _default,
    "first": _first,
    "fixed": _fixed,
    "float": _numeric(float),
    "int": _numeric(int),
    "items": _items,
    "join": _join,
    "last": _last,
    "length": _length,
    "lower": _textual(str.lower, 16),
    "replace": _replace,
    "round": _round,
    "title": _textual(str.title, 16),
    "trim": _textual(str.strip),
    "truncate": _truncate,
    "upper": _textual(str.upper, 16),
    "urlencode": _textual(lambda found: quote(found, safe=""), 4),
}
"""What authors may use."""

INTERNAL: dict[str, Filter] = {LOOP: _loop, RANGE: _range, TOGETHER: _together, WEIGHED: _weighed}

_JINJA: Mapping[str, Any] = JINJA_TESTS
TESTS: dict[str, Filter] = {
    name: _JINJA[name]
    for name in (
        "boolean",
        "defined",
        "false",
        "float",
        "integer",
        "mapping",
        "none",
        "number",
        "string",
        "true",
        "undefined",
    )
} | {"divisibleby": _divisible, "even": _even, "odd": _odd}
"""Of Jinja's own, those that only look at what kind of value it is: the others calculate with whatever they get."""


def takes(function: Callable[..., Any], positional: int, names: Iterable[str]) -> bool:
    """Whether a filter or test can be used with so many arguments and these named ones."""
    # Its first argument is the value, and before that, for some, the context.
    given = [None] * (positional + (2 if hasattr(function, "jinja_pass_arg") else 1))
    try:
        inspect.signature(function).bind(*given, **dict.fromkeys(names))
    except TypeError:
        return False
    return True
