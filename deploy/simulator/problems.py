"""How bad input is named: one exception that says what and where, and its problem+json form (RFC 9457).

Knows JSON decoding errors; refuses to know any provider's own error shape.
"""

import re
from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import Any, TypeVar

import msgspec

T = TypeVar("T")

DEEPEST = 50
_PATH = re.compile(r" - at `(?:key in )?\$\.?(?P<path>[^`]*)`$")
_MISSING = re.compile(r"(?:missing required|contains unknown) field `(?P<name>[^`]+)`")


class Refused(Exception):
    """A request that is answered with a 4xx. `field` is the place in the body or the header's name, or ""."""

    def __init__(self, status: int, message: str, field: str = "", verification: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.field = field
        self.verification = verification


def problem(status: int, detail: str, field: str = "") -> bytes:
    """The problem+json body for an answer."""
    body: dict[str, Any] = {
        "type": "about:blank",
        "title": title(status),
        "status": status,
        "detail": f"{field}: {detail}" if field else detail,
    }
    if field:
        body["errors"] = [{"field": field, "message": detail}]
    return msgspec.json.encode(body)


def title(status: int) -> str:
    """The standard phrase of an HTTP status; plain words for a number that has none."""
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return f"Status {status}"


def decode(decoder: Callable[[bytes], T], raw: bytes) -> T:
    """Read JSON by `decoder`; raise `Refused(400)` that names the field when it does not fit."""
    try:
        return decoder(raw)
    except msgspec.ValidationError as error:
        field, message = place(str(error))
        raise Refused(400, message, field) from None
    except msgspec.DecodeError as error:
        raise Refused(400, f"not JSON: {error}") from None
    except (RecursionError, UnicodeDecodeError):
        raise Refused(400, "not JSON: nested too deep, or not UTF-8") from None


def require_shallow(value: Any, field: str) -> None:
    """Raise `Refused(400)` for what is nested deeper than `DEEPEST`: it could be read, but not shown again."""
    level, depth = [value], 0
    while level := [inner for outer in level for inner in _inside(outer)]:
        depth += 1
        if depth > DEEPEST:
            raise Refused(400, f"nested deeper than {DEEPEST}", field)


def _inside(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


def place(error: str) -> tuple[str, str]:
    """Split a msgspec message into the field's path and the words: ("action.code", "Expected `int`, got `str`")."""
    at = _PATH.search(error)
    path = at["path"] if at else ""
    named = _MISSING.search(error)
    if named:
        path = f"{path}.{named['name']}".lstrip(".")
    return path, _PATH.sub("", error)
