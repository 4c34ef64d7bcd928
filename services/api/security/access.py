"""Decides who is calling and whether they may: guards for the controllers. The tenant comes from the credential, and
from nowhere else."""

import time
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from litestar.connection import ASGIConnection, Request
from litestar.handlers import BaseRouteHandler

from libs.common.domain.accounts import Account
from libs.common.domain.api_keys import ApiKey, Scope, is_secret, split_key
from services.api.errors import Forbidden, Unauthorized
from services.api.ports import AccountStore, ApiKeyStore
from services.api.security.recent import Recent
from services.api.security.tokens import InvalidToken, Tokens

Connection = ASGIConnection[Any, Any, Any, Any]
Guard = Callable[[Connection, BaseRouteHandler], Awaitable[None]]


@dataclass(frozen=True)
class Person:
    """A subscriber who logged in."""

    tenant: str
    subscriber_id: str


@dataclass(frozen=True)
class Service:
    """An upstream service or an operator, by API key."""

    tenant: str
    key_id: str
    scopes: frozenset[str]


PersonRequest = Request[Person, Any, Any]
ServiceRequest = Request[Service, Any, Any]
AnyRequest = Request[Any, Any, Any]
CallerRequest = Request[Person | Service, Any, Any]


class Access:
    """Tells who is calling. Credentials are asked for once in `ttl`: a revocation works after that at the latest.
    `refused_keys` are no keys, whatever the store says: those that everybody knows."""

    def __init__(
        self,
        tokens: Tokens,
        accounts: AccountStore,
        api_keys: ApiKeyStore,
        ttl: timedelta,
        refused_keys: Collection[str] = (),
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._tokens = tokens
        self._accounts = accounts
        self._api_keys = api_keys
        self._refused_keys = frozenset(refused_keys)
        self._recent_accounts: Recent[tuple[str, str], Account] = Recent(ttl, monotonic)
        self._recent_keys: Recent[str, ApiKey] = Recent(ttl, monotonic)

    async def person(self, connection: Connection) -> Person:
        """The person whose token this is; raises `Unauthorized`."""
        token = _bearer(connection)
        if not token or token.startswith("sk_"):
            raise Unauthorized
        try:
            said = self._tokens.read(token)
        except InvalidToken:
            raise Unauthorized(headers=_INVALID) from None
        who = (said.tenant, said.subscriber_id)
        account = await self._recent_accounts.get(who, lambda: self._accounts.find_by_subscriber(*who))
        if account is None or account.token_version != said.token_version:
            raise Unauthorized(headers=_INVALID)
        return Person(*who)

    async def service(self, connection: Connection) -> Service:
        """The service whose key this is; raises `Unauthorized`."""
        given = _api_key(connection)
        if not given:
            raise Unauthorized
        try:
            key_id, secret = split_key(given)
        except ValueError:
            raise Unauthorized(headers=_INVALID) from None
        if given in self._refused_keys:
            raise Unauthorized(headers=_INVALID)
        found = await self._recent_keys.get(key_id, lambda: self._api_keys.find(key_id))
        if found is None or not is_secret(secret, found.secret_hash) or found.revoked_at is not None:
            raise Unauthorized(headers=_INVALID)
        return Service(found.tenant, key_id, frozenset(found.scopes))

    def forget_person(self, tenant: str, subscriber_id: str) -> None:
        """Ask for this account again next time: it was changed or erased here."""
        self._recent_accounts.forget((tenant, subscriber_id))


_KEY_GUARDS: set[Any] = set()
"""Those that look at an API key, and count it."""
_INVALID = {"WWW-Authenticate": 'Bearer realm="sigmora", error="invalid_token"'}


async def require_person(connection: Connection, _handler: BaseRouteHandler) -> None:
    """Guard: only with a person's token."""
    _refuse_key_in_query(connection)
    connection.scope["user"] = await connection.app.state.access.person(connection)


def require_scope(scope: Scope) -> Guard:
    """Guard: only with an API key of this scope."""

    async def guard(connection: Connection, _handler: BaseRouteHandler) -> None:
        state = connection.app.state
        try:
            _refuse_key_in_query(connection)
            service = await state.access.service(connection)
        except Unauthorized:
            # A key that is none, or that nobody looked at, is no way around the limit of whoever has no key.
            if carries_key(connection):
                await state.limits.count_address(connection)
            raise
        await state.limits.count_key(connection, service.key_id)
        connection.scope["user"] = service
        if scope not in service.scopes:
            raise Forbidden(f"The key lacks the scope {scope}.")

    _KEY_GUARDS.add(guard)
    return guard


def require_person_or(scope: Scope) -> Guard:
    """Guard: with an API key of this scope, or with a person's token; the handler looks at whose."""
    by_key = require_scope(scope)

    async def guard(connection: Connection, handler: BaseRouteHandler) -> None:
        await (by_key if _api_key(connection) else require_person)(connection, handler)

    _KEY_GUARDS.add(guard)
    return guard


def takes_key(handler: BaseRouteHandler) -> bool:
    """Whether an API key opens this route."""
    return not _KEY_GUARDS.isdisjoint(handler.resolve_guards())


def carries_key(connection: Connection) -> bool:
    """Whether there is something in the place of an API key."""
    return bool(_api_key(connection))


def _bearer(connection: Connection) -> str:
    given = connection.headers.getall("authorization", [])
    scheme, _, token = given[0].partition(" ") if len(given) == 1 else ("", "", "")
    return token.strip() if scheme.lower() == "bearer" else ""


def _api_key(connection: Connection) -> str:
    given = connection.headers.getall("x-api-key", [])
    if len(given) == 1:
        return given[0].strip()
    token = _bearer(connection)
    return token if token.startswith("sk_") else ""


def _refuse_key_in_query(connection: Connection) -> None:
    # It would stand in every log between here and the caller.
    if any(value.startswith("sk_") for value in connection.query_params.values() if isinstance(value, str)):
        raise Unauthorized("An API key does not belong in the query string; revoke it.")
