"""Reads JSON texts as they come from outside. Decides what is no text that has one meaning; knows no field's."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

import msgspec

from libs.common.domain.errors import Flaw, InvalidInput
from libs.common.domain.json_values import MAX_FLAWS

_WHOLE = "body"
"""Where a fault is that concerns the whole text of a request."""
_LONGEST_KEY = 100
"""Characters of a key that a place shows."""


def decode_json(text: bytes, pointer: str = "") -> Any:
    """A JSON text, in UTF-8, decoded.

    Raises InvalidInput, with places below `pointer`, for anything else, for what is nested too deep, and for a key that
    an object has twice: readers differ in which one counts (RFC 8259, section 4), so nobody could say what was meant.
    """
    whole = pointer or _WHOLE
    try:
        decoded = msgspec.json.decode(text)
        places = repeated_keys(text)
    except RecursionError:
        raise InvalidInput(Flaw(whole, "is nested too deeply")) from None
    except (msgspec.MsgspecError, UnicodeError) as error:
        raise InvalidInput(Flaw(whole, f"is not JSON: {error}")) from None
    if places:
        raise InvalidInput(*(Flaw(f"{pointer}.{place}" if pointer else place, "is given twice") for place in places))
    return decoded


def repeated_keys(text: bytes) -> list[str]:
    """The places of the keys that an object has more than once, as far as they are not inside of a value that another
    one has replaced. Some 5 µs for an event: no decoder tells of them."""
    repeating: list[tuple[dict[str, Any], list[str]]] = []

    def read(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            repeating.append((found, [key for key, count in Counter(key for key, _ in pairs).items() if count > 1]))
        return found

    # Numbers are of no interest here, and Python refuses integers of more than 4,300 digits.
    decoded = json.loads(text, object_pairs_hook=read, parse_int=bool, parse_float=bool)
    if not repeating:
        return []
    return list(islice(_places(decoded, {id(found): keys for found, keys in repeating}), MAX_FLAWS))


def _places(decoded: object, repeating: Mapping[int, Sequence[str]]) -> Iterator[str]:
    stack: list[tuple[object, str]] = [(decoded, "")]
    while stack:
        found, place = stack.pop()
        if isinstance(found, dict):
            prefix = f"{place}." if place else ""
            yield from (f"{prefix}{key[:_LONGEST_KEY]}" for key in repeating.get(id(found), ()))
            stack.extend((inner, f"{prefix}{key[:_LONGEST_KEY]}") for key, inner in found.items())
        elif isinstance(found, list):
            stack.extend((inner, f"{place}[{index}]") for index, inner in enumerate(found))
