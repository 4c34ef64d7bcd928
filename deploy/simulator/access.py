"""Who may send: API key, push tokens given out, webhook secrets. Refuses to know any protocol's errors."""

import base64
import binascii
import hashlib
import hmac
import secrets
from collections import OrderedDict
from collections.abc import Mapping

from deploy.simulator.problems import Refused

TOLERANCE_SECONDS = 300  # Standard Webhooks: what is older, or from the future, may be a replay
_MOST_TOKENS = 10_000


class Access:
    """Without an API key nobody is asked; a hook without a secret is not checked."""

    def __init__(self, api_key: str | None) -> None:
        self._api_key = api_key
        self._tokens: OrderedDict[str, None] = OrderedDict()
        self._secrets: dict[str, bytes] = {}

    def bearer(self, headers: Mapping[str, str]) -> None:
        """Raise `Refused(401)` unless the request bears the API key or a token given out here."""
        if self._api_key is None:
            return
        scheme, _, token = headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not (self._is_key(token) or token in self._tokens):
            raise Refused(401, "a bearer token that this provider knows is needed", "Authorization")

    def basic(self, headers: Mapping[str, str]) -> None:
        """Raise `Refused(401)` unless the password of Basic authentication is the API key."""
        if self._api_key is None:
            return
        scheme, _, blob = headers.get("Authorization", "").partition(" ")
        try:
            _, _, password = base64.b64decode(blob, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            password = ""
        if scheme.lower() != "basic" or not self._is_key(password):
            raise Refused(401, "Authentication Error - invalid username", "Authorization")

    def issue(self) -> str:
        """Give out a new access token."""
        token = f"ya29.{secrets.token_urlsafe(24)}"
        self._tokens[token] = None
        if len(self._tokens) > _MOST_TOKENS:
            self._tokens.popitem(last=False)
        return token

    def guard_hook(self, name: str, secret: str) -> None:
        """From now on check the signatures of this hook; raise `Refused(400)` when the secret is none."""
        try:
            key = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
        except (binascii.Error, ValueError):
            key = b""
        if not key:
            raise Refused(400, 'expected "whsec_" and base64', "secret")
        self._secrets[name] = key

    def open_hook(self, name: str) -> None:
        """Check this hook's signatures no longer."""
        self._secrets.pop(name, None)

    def verify_hook(self, name: str, headers: Mapping[str, str], raw: bytes, now: float) -> str:
        """Return "ok" or "unchecked"; raise `Refused(401)` with the reason otherwise. `now` in epoch seconds."""
        key = self._secrets.get(name)
        return "unchecked" if key is None else verify(key, headers, raw, now)

    def _is_key(self, token: str) -> bool:
        return self._api_key is not None and hmac.compare_digest(token.encode(), self._api_key.encode())


def verify(key: bytes, headers: Mapping[str, str], raw: bytes, now: float) -> str:
    """Check a Standard Webhooks signature: HMAC-SHA256 over "id.timestamp.body", any of the v1 ones listed.

    Source: https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
    """
    for name in ("webhook-id", "webhook-timestamp", "webhook-signature"):
        if not headers.get(name):
            raise Refused(401, "missing", name, verification="missing_header")
    stamp = headers["webhook-timestamp"]
    if not (stamp.isascii() and stamp.isdigit() and len(stamp) <= 12 and abs(int(stamp) - now) <= TOLERANCE_SECONDS):
        raise Refused(401, "not within five minutes of now", "webhook-timestamp", verification="stale_timestamp")
    signed = b".".join((headers["webhook-id"].encode(), stamp.encode(), raw))
    expected = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest())
    for offered in headers["webhook-signature"].split():
        version, _, signature = offered.partition(",")
        if version == "v1" and hmac.compare_digest(signature.encode(), expected):
            return "ok"
    raise Refused(401, "no v1 signature fits the body", "webhook-signature", verification="bad_signature")
