"""Accounts and API keys in memory, held to the same contract as MongoDB's (`tests/contract/test_credentials.py`)."""

import secrets
from collections.abc import Iterable
from datetime import datetime

import msgspec

from libs.common.domain.accounts import Account
from libs.common.domain.api_keys import ApiKey, Scope, hash_secret, join_key, split_key
from libs.common.domain.errors import Unavailable


class MemoryAccounts:
    """Implements `ports.AccountStore`; `away` makes it refuse."""

    def __init__(self) -> None:
        self.away = False
        self._stored: dict[tuple[str, str], Account] = {}

    async def find(self, tenant: str, email: str) -> Account | None:
        """The account of a canonical e-mail address."""
        self._answer()
        return self._stored.get((tenant, email))

    async def find_by_subscriber(self, tenant: str, subscriber_id: str) -> Account | None:
        """The account that belongs to a subscriber."""
        self._answer()
        wanted = (tenant, subscriber_id)
        return next((found for found in self._stored.values() if (found.tenant, found.subscriber_id) == wanted), None)

    async def insert(self, account: Account) -> bool:
        """Add an account; False when the address has one."""
        self._answer()
        return self._stored.setdefault((account.tenant, account.email), account) is account

    async def rehash(self, account: Account, password_hash: str) -> None:
        """Store a hash with today's parameters, unless the password was changed meanwhile."""
        self._answer()
        found = self._stored.get((account.tenant, account.email))
        if found is not None and found.password_hash == account.password_hash:
            changed = msgspec.structs.replace(found, password_hash=password_hash)
            self._stored[account.tenant, account.email] = changed

    async def delete_by_subscriber(self, tenant: str, subscriber_id: str) -> None:
        """Remove the accounts of a subscriber."""
        self._answer()
        gone = (tenant, subscriber_id)
        self._stored = {
            key: found for key, found in self._stored.items() if (found.tenant, found.subscriber_id) != gone
        }

    def _answer(self) -> None:
        if self.away:
            raise Unavailable("MongoDB: away")


class MemoryApiKeys:
    """Implements `ports.ApiKeyStore`."""

    def __init__(self) -> None:
        self._stored: dict[str, ApiKey] = {}

    async def create(
        self, tenant: str, name: str, scopes: Iterable[Scope], now: datetime, *, key: str | None = None
    ) -> str:
        """Store a key and return it whole."""
        key = key or join_key(secrets.token_hex(6), secrets.token_hex(24))
        key_id, secret = split_key(key)
        made = ApiKey(
            key_id=key_id,
            tenant=tenant,
            name=name,
            secret_hash=hash_secret(secret),
            scopes=tuple(scopes),
            created_at=now,
        )
        there = self._stored.setdefault(key_id, made)
        if (there.tenant, there.secret_hash) != (tenant, made.secret_hash):
            raise ValueError(f"the key id {key_id} is taken")
        return key

    async def find(self, key_id: str) -> ApiKey | None:
        """The key of this id, also a revoked one."""
        return self._stored.get(key_id)

    async def find_all(self, tenant: str) -> list[ApiKey]:
        """The keys of a tenant, also revoked ones, the newest first."""
        found = sorted((key for key in self._stored.values() if key.tenant == tenant), key=lambda key: key.key_id)
        return sorted(found, key=lambda key: key.created_at, reverse=True)

    async def revoke(self, tenant: str, key_id: str, now: datetime) -> bool:
        """End a key; False when the tenant has no such key in force."""
        found = self._stored.get(key_id)
        if found is None or found.tenant != tenant or found.revoked_at is not None:
            return False
        self._stored[key_id] = msgspec.structs.replace(found, revoked_at=now)
        return True
