"""What an API key looks like and what it may allow. Knows neither where keys are stored nor who draws their secrets.

A key is `sk_<key id>_<secret>`: the id finds it, the SHA-256 of the secret proves it. The secret is what follows the
last underscore, so an id may hold underscores and a secret may not.
"""

import hashlib
import re
from datetime import datetime
from enum import StrEnum
from hmac import compare_digest

import msgspec

DEV_API_KEY = "sk_dev_user001_local_only_0123456789abcdef"
"""The key that everybody can read: the seeder writes it with `ENV=dev`, and it is good there only."""

_KEY = re.compile(r"sk_([A-Za-z0-9_-]{1,64})_([A-Za-z0-9-]{16,128})", re.ASCII)


class Scope(StrEnum):
    """What a key may be used for."""

    EVENTS = "events"
    NOTIFICATIONS = "notifications"
    SUBSCRIBERS = "subscribers"
    TEMPLATES = "templates"
    OPERATIONS = "operations"
    """Explain, replay, redrive."""
    KEYS = "keys"
    """Make and revoke keys."""


class ApiKey(msgspec.Struct, frozen=True, kw_only=True):
    """A stored key. `scopes` are words, so that a key made by a later release can still be read."""

    key_id: str
    tenant: str
    name: str
    secret_hash: str
    scopes: tuple[str, ...]
    created_at: datetime
    revoked_at: datetime | None = None


def split_key(text: str) -> tuple[str, str]:
    """The id and the secret of a key; raises ValueError when it is not one."""
    found = _KEY.fullmatch(text)
    if found is None:
        raise ValueError("is not an API key of the form sk_<id>_<secret>")
    return found[1], found[2]


def join_key(key_id: str, secret: str) -> str:
    """The key that `split_key` takes apart again; raises ValueError when it would not."""
    key = f"sk_{key_id}_{secret}"
    if split_key(key) != (key_id, secret):
        raise ValueError("the secret of an API key has no underscores")
    return key


def hash_secret(secret: str) -> str:
    """What is stored. A fast hash suffices: a secret is drawn with 192 bits, not chosen by a person."""
    return hashlib.sha256(secret.encode()).hexdigest()


def is_secret(secret: str, stored: str) -> bool:
    """Whether `secret` is the one that was stored, in constant time."""
    return compare_digest(hash_secret(secret), stored)
