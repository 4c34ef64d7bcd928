"""Which JSON values can be kept: what MongoDB, Kafka's readers and a browser can all hold. Knows no field's meaning."""

import math
import re

from libs.common.domain.errors import Flaw

MAX_DEPTH = 50
"""Levels of objects and lists. BSON allows 100; a document adds some of its own around a value."""
MAX_FLAWS = 20
"""More would only repeat themselves."""

CONTROL = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")
"""Control characters and lone surrogates: nothing of one line may hold them (a CR LF would start a new header)."""
UNSTORABLE = re.compile(r"[\x00\ud800-\udfff]")
"""What even a text of many lines may not hold: some readers end a string at NUL; a lone surrogate is no character."""

_INT64 = range(-(2**63), 2**63)


def unstorable(value: object, pointer: str, *, operators: bool = False) -> list[Flaw]:
    """What is wrong with a decoded JSON value, by place; nothing, for one that can be kept as it is.

    `operators` allows keys that begin with `$`, as filters have them.
    """
    flaws: list[Flaw] = []
    # A stack and not recursion: the depth of the input is the sender's choice.
    stack: list[tuple[object, str, int]] = [(value, pointer, 1)]
    while stack and len(flaws) < MAX_FLAWS:
        found, place, depth = stack.pop()
        if isinstance(found, dict | list):
            if depth > MAX_DEPTH:
                flaws.append(Flaw(pointer, f"is nested deeper than {MAX_DEPTH} levels"))
                break
            if isinstance(found, dict):
                for key, inner in found.items():
                    if wrong := _wrong_key(key, operators):
                        flaws.append(Flaw(place, wrong))
                    else:
                        stack.append((inner, f"{place}.{key[:100]}", depth + 1))
            else:
                stack.extend((inner, f"{place}[{index}]", depth + 1) for index, inner in enumerate(found))
        elif wrong := _wrong_scalar(found):
            flaws.append(Flaw(place, wrong))
    return flaws


def _wrong_key(key: object, operators: bool) -> str:
    if not isinstance(key, str) or UNSTORABLE.search(key):
        return "has a key with a NUL or a lone surrogate"
    if key.startswith("$") and not operators:
        return f"has a key that begins with $: {key[:100]}"
    if key == "__proto__":
        return "has the key __proto__"
    return ""


def _wrong_scalar(value: object) -> str:
    if isinstance(value, bool) or value is None:
        return ""
    if isinstance(value, str):
        return "has a NUL or a lone surrogate" if UNSTORABLE.search(value) else ""
    if isinstance(value, int):
        return "" if value in _INT64 else "is an integer of more than 64 bits"
    if isinstance(value, float):
        return "" if math.isfinite(value) else "is not a finite number"
    return "is not a JSON value"
