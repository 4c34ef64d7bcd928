"""Accounts in MongoDB. One per tenant and e-mail address, by the `_id`. Never sees a password, only its hash."""

from collections.abc import Mapping
from typing import Any

import msgspec
from pymongo.errors import DuplicateKeyError

from libs.common.adapters.mongo.connect import collection_of, database_calls
from libs.common.adapters.mongo.documents import AccountDocument
from libs.common.domain.accounts import Account


class MongoAccounts:
    """Implements `ports.AccountStore`. Every call raises `Unavailable` when the answer is unknown."""

    async def find(self, tenant: str, email: str) -> Account | None:
        """The account of a canonical e-mail address."""
        return await self._one({"_id": f"{tenant}:{email}"})

    async def find_by_subscriber(self, tenant: str, subscriber_id: str) -> Account | None:
        """The account that belongs to a subscriber."""
        return await self._one({"tenant": tenant, "subscriber_id": subscriber_id})

    async def insert(self, account: Account) -> bool:
        """Add an account; False when the address has one."""
        document = {"_id": f"{account.tenant}:{account.email}", **msgspec.structs.asdict(account)}
        try:
            with database_calls():
                await collection_of(AccountDocument).insert_one(document)
        except DuplicateKeyError:
            return False
        return True

    async def rehash(self, account: Account, password_hash: str) -> None:
        """Store a hash with today's parameters, unless the password was changed meanwhile."""
        with database_calls():
            await collection_of(AccountDocument).update_one(
                {"_id": f"{account.tenant}:{account.email}", "password_hash": account.password_hash},
                {"$set": {"password_hash": password_hash}},
            )

    async def delete_by_subscriber(self, tenant: str, subscriber_id: str) -> None:
        """Remove the accounts of a subscriber."""
        with database_calls():
            await collection_of(AccountDocument).delete_many({"tenant": tenant, "subscriber_id": subscriber_id})

    async def _one(self, query: Mapping[str, Any]) -> Account | None:
        with database_calls():
            found = await collection_of(AccountDocument).find_one(query)
        return msgspec.convert(found, Account) if found else None
