"""Reads `Idempotency-Key` headers (draft-ietf-httpapi-idempotency-key-header). Decides what is a key, and not what it
stands for."""

from typing import Any

from litestar import Request

from libs.common.domain.errors import Flaw, InvalidInput

_LONGEST = 255
_NAME = "Idempotency-Key"


def idempotency_key(request: Request[Any, Any, Any]) -> str:
    """The key, with its quotes taken off, or "" when there is no such header. Raises InvalidInput for what is no key of
    1 to 255 printable ASCII characters, and for two headers."""
    given = request.headers.getall(_NAME, [])
    if not given:
        return ""
    if len(given) > 1:
        raise InvalidInput(Flaw(_NAME, "is given more than once"))
    key = given[0].strip()
    if len(key) >= 2 and key[0] == key[-1] == '"':
        key = key[1:-1]
    if not is_key(key):
        raise InvalidInput(Flaw(_NAME, f"must have 1 to {_LONGEST} printable ASCII characters"))
    return key


def is_key(text: str) -> bool:
    """Whether this can be a key."""
    return 1 <= len(text) <= _LONGEST and all(" " <= character <= "~" for character in text)
