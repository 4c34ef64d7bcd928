"""API keys in MongoDB: the public id, the secret's SHA-256, the scopes. A dump of it holds no usable key."""

import secrets
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

import msgspec
from pymongo.errors import DuplicateKeyError

from libs.common.adapters.mongo.connect import collection_of, database_calls
from libs.common.adapters.mongo.documents import ApiKeyDocument
from libs.common.domain.api_keys import ApiKey, Scope, hash_secret, join_key, split_key


class MongoApiKeys:
    """Implements `ports.ApiKeyStore`. Every call raises `Unavailable` when the answer is unknown."""

    async def create(
        self, tenant: str, name: str, scopes: Iterable[Scope], now: datetime, *, key: str | None = None
    ) -> str:
        """Store a key and return it whole: it can never be shown again. `key` (the seeder's) instead of a drawn one;
        storing the same again changes nothing.

        Raises:
            ValueError: `key` is no API key, or its id belongs to another one.
        """
        key = key or join_key(secrets.token_hex(6), secrets.token_hex(24))
        key_id, secret = split_key(key)
        stored = ApiKey(
            key_id=key_id,
            tenant=tenant,
            name=name,
            secret_hash=hash_secret(secret),
            scopes=tuple(scopes),
            created_at=now,
        )
        document = {"_id": key_id, **msgspec.to_builtins(stored, builtin_types=(datetime,)), "revoked_at": None}
        del document["key_id"]
        try:
            with database_calls():
                await collection_of(ApiKeyDocument).insert_one(document)
        except DuplicateKeyError:
            there = await self.find(key_id)
            if there is None or (there.tenant, there.secret_hash) != (tenant, stored.secret_hash):
                raise ValueError(f"the key id {key_id} is taken") from None
        return key

    async def find(self, key_id: str) -> ApiKey | None:
        """The key of this id, also a revoked one."""
        with database_calls():
            found = await collection_of(ApiKeyDocument).find_one({"_id": key_id})
        return _key(found) if found else None

    async def find_all(self, tenant: str) -> list[ApiKey]:
        """The keys of a tenant, also revoked ones, the newest first."""
        with database_calls():
            found = collection_of(ApiKeyDocument).find({"tenant": tenant}).sort({"created_at": -1, "_id": 1})
            return [_key(document) async for document in found]

    async def revoke(self, tenant: str, key_id: str, now: datetime) -> bool:
        """End a key; False when the tenant has no such key in force."""
        with database_calls():
            changed = await collection_of(ApiKeyDocument).update_one(
                {"_id": key_id, "tenant": tenant, "revoked_at": None}, {"$set": {"revoked_at": now}}
            )
        return changed.matched_count == 1


def _key(document: Mapping[str, Any]) -> ApiKey:
    return msgspec.convert({**document, "key_id": document["_id"]}, ApiKey)
