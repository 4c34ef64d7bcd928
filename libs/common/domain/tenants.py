"""What a tenant may be called. Knows no tenant: there is one as soon as a key or a topic names it."""

import re

_NAME = re.compile(r"[A-Za-z0-9._-]{1,100}", re.ASCII)
"""What may stand in a topic's name, with room for a prefix; no colon, which separates tenant and id in our keys."""


def check_tenant(name: str) -> str:
    """The name; raises ValueError when no tenant can have it."""
    if _NAME.fullmatch(name) is None:
        raise ValueError(f"{name!r} cannot be part of a topic's name: 1 to 100 letters, digits, . _ -")
    return name
