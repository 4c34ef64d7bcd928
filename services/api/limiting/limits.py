"""Refuses who calls too often: requests of one API key, requests of one address without a key, and log-ins that fail.
A log-in is slowed down for one account from one network: the owner, elsewhere, is never locked out. Those of one
account from one network that come to the same process at once wait for one another: while its password is verified, a
right one looks like a failure to the next."""

import hashlib
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import structlog
from litestar.connection import ASGIConnection

from libs.common.clock import Clock
from libs.common.domain.errors import Unavailable
from services.api.errors import TooMany
from services.api.limiting.addresses import TrustedProxies
from services.api.limiting.buckets import Answer, Buckets
from services.api.limiting.turns import Turns
from services.api.ports import RateStore
from services.api.security.passwords import WAITING
from services.api.settings import ApiSettings

_log = structlog.get_logger(__name__)

SHOWN = "sigmora.rate_limit"
"""Where in a request's scope the answer stands that its headers tell of."""
_FREE_FAILURES = 5
_LONGEST_DELAY = timedelta(minutes=15)
_FORGOTTEN_AFTER = timedelta(hours=1)

Connection = ASGIConnection[Any, Any, Any, Any]


@dataclass(frozen=True, slots=True)
class LoginAttempt:
    """A log-in that counts as failed until it succeeded."""

    name: str
    """Of the account and the network, as one."""
    bucket: str
    spent: Answer | None
    """What it took from the network's failures; None: they have no limit."""


class Limits:
    """The limits of the API."""

    def __init__(self, settings: ApiSettings, store: RateStore, clock: Clock) -> None:
        self._settings = settings
        self._store = store
        self._clock = clock
        self._buckets = Buckets(store, clock)
        # No more than may wait for a core: a queue of its own, so that one account's cannot fill everybody's.
        self._turns = Turns(WAITING)
        self._proxies = TrustedProxies(settings.trusted_proxies)

    def network(self, connection: Connection) -> str:
        """The network that a request comes from."""
        peer = connection.client.host if connection.client else ""
        return self._proxies.caller(peer, connection.headers.getall("x-forwarded-for", []))

    async def count_key(self, connection: Connection, key_id: str) -> None:
        """A request with a good key. Raises `TooMany`."""
        await self._count(connection, f"key|{key_id}", self._settings.rate_limit_per_key)

    async def count_address(self, connection: Connection) -> None:
        """A request without a good key. Raises `TooMany`."""
        await self._count(connection, f"address|{self.network(connection)}", self._settings.rate_limit_per_address)

    async def count_password(self, network: str) -> None:
        """A password that is to be hashed or verified, which takes a core for 31 ms: who sends new addresses all the
        time must not keep everybody else from logging in. Raises `TooMany`."""
        await self._spend(f"password|{network}", self._settings.rate_limit_passwords)

    @asynccontextmanager
    async def login(self, tenant: str, email: str, network: str) -> AsyncIterator[LoginAttempt]:
        """Around the verifying of a password, alone with this account from this network. Counts as a failure until
        `succeeded` takes it back, so that many at once, over all processes, get no further than one after the other.
        Raises `TooMany`, `Unavailable` when too many wait; passes when the database is away."""
        # Before the wait: who may not have one more password verified may not stand in the queue either.
        await self.count_password(network)
        name = hashlib.sha256(f"{tenant}\n{email}\n{network}".encode("utf-8", "replace")).hexdigest()
        async with self._turns.take(name):
            yield await self._begin(name, network)

    async def _begin(self, name: str, network: str) -> LoginAttempt:
        bucket = f"login|{network}"
        spent = await self._spend(bucket, self._settings.rate_limit_login_failures)
        now = self._clock()
        try:
            blocked_until = await self._store.begin_attempt(name, now, now + _FORGOTTEN_AFTER, delay_after)
            if blocked_until is not None:
                raise TooMany("Too many attempts.", _retry_after(blocked_until - now))
        except Unavailable as error:
            _log.warning("rate_limit.open", reason=str(error))
        return LoginAttempt(name, bucket, spent)

    async def succeeded(self, attempt: LoginAttempt) -> None:
        """The password was right: forget what failed before. Within `login`: the next in turn must find it so."""
        if attempt.spent is not None:
            self._buckets.give_back(attempt.bucket, attempt.spent)
        try:
            await self._store.forget_attempt(attempt.name)
        except Unavailable as error:
            _log.warning("rate_limit.open", reason=str(error))

    async def _spend(self, bucket: str, limit: int) -> Answer | None:
        """What was spent; None: there is no limit."""
        if not limit:
            return None
        answer = await self._buckets.spend(bucket, limit)
        if not answer.allowed:
            raise _refusal(answer)
        return answer

    async def _count(self, connection: Connection, bucket: str, limit: int) -> None:
        if not limit:
            return
        answer = await self._buckets.spend(bucket, limit)
        connection.scope[SHOWN] = answer  # type: ignore[literal-required]  # ASGI lets a scope hold more
        if not answer.allowed:
            raise _refusal(answer)


def delay_after(failures: int) -> timedelta:
    """How long nobody may try again after so many failures: 1 s after the fifth, then twice as long each time."""
    if failures < _FREE_FAILURES:
        return timedelta()
    return min(_LONGEST_DELAY, timedelta(seconds=2 ** min(failures - _FREE_FAILURES, 20)))


def headers_of(answer: Answer) -> dict[str, str]:
    """What a caller is told of a limit (draft-ietf-httpapi-ratelimit-headers-07)."""
    return {
        "RateLimit-Limit": str(answer.limit),
        "RateLimit-Remaining": str(answer.remaining),
        "RateLimit-Reset": str(answer.resets_in),
    }


def _refusal(answer: Answer) -> TooMany:
    return TooMany(headers={**headers_of(answer), "Retry-After": str(answer.resets_in)})


def _retry_after(left: timedelta) -> Mapping[str, str]:
    return {"Retry-After": str(max(1, -(-left // timedelta(seconds=1))))}
