"""Access tokens for Google's services: a service account's signed assertion is traded for a token (RFC 7523), which is
used until shortly before it ends. Decides when to ask anew; refuses to know what the token is for."""

import asyncio
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import msgspec
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import RSAKey

from libs.common.adapters.http import Answer, Outbound
from libs.common.clock import Clock
from libs.common.domain.outcome import NotNow

_GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_LIFETIME = timedelta(hours=1)
"""Of an assertion, the most that Google takes."""
_RENEW_BEFORE = timedelta(minutes=5)
_SHORTEST_USE = timedelta(seconds=10)
"""So that a server that gives out tokens of no duration is not asked for every message."""


class ServiceAccount(msgspec.Struct, frozen=True):
    """The part of a key file that is needed."""

    client_email: str
    private_key: str
    token_uri: str
    private_key_id: str = ""


class _Granted(msgspec.Struct):
    access_token: str
    expires_in: int = 0


def read_service_account(path: str) -> ServiceAccount:
    """The service account of a key file. Raises ValueError when the file is not there or is none."""
    try:
        account = msgspec.json.decode(Path(path).read_bytes(), type=ServiceAccount)
        _key(account)
    except OSError as error:
        raise ValueError(f"cannot be read: {error.strerror}") from error
    except (msgspec.DecodeError, UnicodeDecodeError, JoseError, ValueError) as error:
        raise ValueError("is not the key file of a service account") from error
    return account


class GoogleTokens:
    """The tokens of one service account for one scope."""

    def __init__(
        self, outbound: Outbound, account: ServiceAccount, scope: str, deadline: timedelta, clock: Clock
    ) -> None:
        self._outbound = outbound
        self._account = account
        self._key = _key(account)
        self._scope = scope
        self._deadline = deadline.total_seconds()
        self._clock = clock
        self._token = ""
        self._until: datetime | None = None
        self._asking: asyncio.Task[str | NotNow] | None = None

    async def get(self, refused: str = "") -> str | NotNow:
        """A token other than the one that was `refused`, or why there is none: nothing was sent with it, so whatever
        the token endpoint's fault is, the message can be sent later. Many callers share one request."""
        if self._token and self._token != refused and self._until is not None and self._clock() < self._until:
            return self._token
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._ask())
        return await asyncio.shield(self._asking)  # a caller that gives up must not take the others with it

    async def _ask(self) -> str | NotNow:
        now = self._clock()
        form = urlencode({"grant_type": _GRANT, "assertion": self._assertion(now)}).encode()
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        answer = await self._outbound.post(self._account.token_uri, form, headers, self._deadline)
        if not isinstance(answer, Answer):
            return NotNow(f"token_{answer.reason}")
        if answer.status != 200:
            return NotNow(f"token_http_{answer.status}")
        try:
            granted = msgspec.json.decode(answer.body or b"", type=_Granted)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return NotNow("token_unreadable")
        self._token = granted.access_token
        lifetime = timedelta(seconds=max(0, min(granted.expires_in, 86_400)))
        self._until = now + max(lifetime - min(_RENEW_BEFORE, lifetime / 2), _SHORTEST_USE)
        return self._token

    def _assertion(self, now: datetime) -> str:
        account = self._account
        header: dict[str, Any] = {"alg": "RS256", "typ": "JWT", "kid": account.private_key_id}
        claims = {
            "iss": account.client_email,
            "scope": self._scope,
            "aud": account.token_uri,
            "iat": int(now.timestamp()),
            "exp": int((now + _LIFETIME).timestamp()),
        }
        return jwt.encode(header, claims, self._key)


def _key(account: ServiceAccount) -> RSAKey:
    return RSAKey.import_key(account.private_key)
