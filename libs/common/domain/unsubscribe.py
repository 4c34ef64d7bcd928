"""Links by which somebody unsubscribes without logging in (RFC 8058). A token says who, and is signed: nobody can make
one for somebody else. It has no expiry, since people unsubscribe from mails that are years old. Knows no HTTP."""

import base64
import binascii
import hmac
import json
from dataclasses import dataclass

EVERYTHING = "everything"
"""The list that stands for all that a subscriber gets."""

_LABEL = b"sigmora unsubscribe link, 1"
_SIGNATURE_BYTES = 16
"""128 bits: RFC 8058 wants a token that is hard to forge, mail clients want short lines."""
_LONGEST = 1_000


@dataclass(frozen=True, slots=True)
class Link:
    """Who unsubscribes from what."""

    tenant: str
    subscriber_id: str
    list_name: str = EVERYTHING


def link_key(secret_key: str) -> bytes:
    """The key that tokens are signed with: derived from SECRET_KEY and good for nothing else. Raises ValueError."""
    if not secret_key:
        raise ValueError("SECRET_KEY must be set")
    return hmac.digest(secret_key.encode(), _LABEL, "sha256")


def make_token(key: bytes, link: Link) -> str:
    """The token for a link: the same one each time, of letters, digits, `-` and `_`."""
    said = json.dumps([link.tenant, link.subscriber_id, link.list_name], separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(_sign(key, said) + said).decode().rstrip("=")


def read_token(key: bytes, token: str) -> Link | None:
    """What a token says; None, unless `make_token` made exactly this one with this key."""
    if len(token) > _LONGEST:
        return None
    try:
        raw = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return None
    signature, said = raw[:_SIGNATURE_BYTES], raw[_SIGNATURE_BYTES:]
    if not hmac.compare_digest(signature, _sign(key, said)):
        return None
    link = Link(*json.loads(said))
    # The bits that base64 leaves over could be anything: one link has one token.
    return link if hmac.compare_digest(make_token(key, link), token) else None


def unsubscribe_url(public_base_url: str, key: bytes, link: Link) -> str:
    """Where a link leads: a page on GET, and by POST the end of it."""
    return f"{public_base_url.rstrip('/')}/u/{make_token(key, link)}"


def _sign(key: bytes, said: bytes) -> bytes:
    return hmac.digest(key, said, "sha256")[:_SIGNATURE_BYTES]
