"""Makes and reads access tokens: JWT (RFC 9068), HS256 and nothing else. Whether the account behind a token is still
there is asked elsewhere (`access.py`)."""

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import OctKey

from libs.common.clock import Clock
from libs.common.domain.accounts import Account

_HEADER = {"alg": "HS256", "typ": "at+jwt"}
_LEEWAY_SECONDS = 30
_LONGEST = 4096
"""Characters of a token that is looked at; ours have about 400."""


class InvalidToken(Exception):
    """The token says nothing, whatever is wrong with it."""


@dataclass(frozen=True)
class Said:
    """What a good token says: who, and which generation of that account's tokens it is from."""

    tenant: str
    subscriber_id: str
    token_version: int


class Tokens:
    """Signs with one key; a token is good for `ttl`."""

    def __init__(self, secret_key: str, issuer: str, audience: str, ttl: timedelta, clock: Clock) -> None:
        self._key = OctKey.import_key(secret_key)
        self._issuer = issuer
        self._audience = audience
        self._ttl = ttl
        self._clock = clock
        essential: jwt.ClaimsOption = {"essential": True}
        self._claims = jwt.JWTClaimsRegistry(
            now=lambda: int(clock().timestamp()),
            leeway=_LEEWAY_SECONDS,
            iss={"essential": True, "value": issuer},
            aud={"essential": True, "value": audience},
            exp=essential,
            iat=essential,
            sub=essential,
            jti=essential,
            tenant=essential,
            tv=essential,
        )

    def issue(self, account: Account) -> str:
        """A token for the person whose account it is."""
        now: datetime = self._clock()
        claims = {
            "iss": self._issuer,
            "aud": self._audience,
            "sub": account.subscriber_id,
            "tenant": account.tenant,
            "tv": account.token_version,
            "jti": secrets.token_hex(16),
            "iat": int(now.timestamp()),
            "exp": int((now + self._ttl).timestamp()),
        }
        return jwt.encode(dict(_HEADER), claims, self._key)

    def read(self, token: str) -> Said:
        """What the token says. Raises `InvalidToken` for one that is not ours, not complete, or not good now."""
        if len(token) > _LONGEST:
            raise InvalidToken
        try:
            read = jwt.decode(token, self._key, algorithms=["HS256"])
            self._claims.validate(read.claims)
        # Whatever is wrong with a token, it is an attacker's or an old one: 401 and not an error of ours.
        except (JoseError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise InvalidToken from error
        # A key, a URL or `crit` in the header would be the sender's idea of how to verify.
        if read.header != _HEADER:
            raise InvalidToken
        tenant, version = read.claims["tenant"], read.claims["tv"]
        if not isinstance(tenant, str) or type(version) is not int:
            raise InvalidToken
        return Said(tenant, read.claims["sub"], version)
