"""What every store of accounts and of API keys keeps to: those in memory, and MongoDB's."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from libs.common.adapters.mongo.accounts import MongoAccounts
from libs.common.adapters.mongo.api_keys import MongoApiKeys
from libs.common.adapters.mongo.connect import open_database
from libs.common.domain.accounts import Account
from libs.common.domain.api_keys import Scope, hash_secret, split_key
from libs.common.settings import MongoSettings
from libs.common.testing.credentials import MemoryAccounts, MemoryApiKeys

pytestmark = pytest.mark.integration

NOW = datetime(2030, 1, 1, 12, tzinfo=UTC)
DEV_KEY = "sk_dev_user001_local_only_0123456789abcdef"
Stores = tuple[Any, Any]


@pytest.fixture(params=["memory", "mongo"])
async def stores(request: pytest.FixtureRequest) -> AsyncIterator[Stores]:
    """Accounts and API keys, none yet."""
    if request.param == "memory":
        yield MemoryAccounts(), MemoryApiKeys()
        return
    stack, name = request.getfixturevalue("stack"), request.getfixturevalue("database_name")
    async with open_database(MongoSettings(uri=stack.mongodb_uri, db=name), create_indexes=True):
        yield MongoAccounts(), MongoApiKeys()


def account(**changed: Any) -> Account:
    """An account."""
    whole = Account(
        tenant="default", email="ada@example.com", subscriber_id="s1", password_hash="$argon2id$1", created_at=NOW
    )
    return msgspec.structs.replace(whole, **changed)


async def test_an_account_is_found_by_address_and_by_subscriber(stores: Stores) -> None:
    accounts, _ = stores
    await accounts.insert(account())

    assert await accounts.find("default", "ada@example.com") == account()
    assert await accounts.find_by_subscriber("default", "s1") == account()
    assert await accounts.find("other", "ada@example.com") is None
    assert await accounts.find_by_subscriber("other", "s1") is None


async def test_an_address_has_one_account_however_many_come_at_once(stores: Stores) -> None:
    accounts, _ = stores

    made = await asyncio.gather(*(accounts.insert(account(subscriber_id=f"s{n}")) for n in range(5)))

    assert sorted(made) == [False, False, False, False, True]
    found = await accounts.find("default", "ada@example.com")
    assert found.subscriber_id == f"s{made.index(True)}"


async def test_a_hash_is_replaced_only_if_it_is_the_one_that_was_read(stores: Stores) -> None:
    accounts, _ = stores
    await accounts.insert(account())

    await accounts.rehash(account(password_hash="an older one"), "$argon2id$0")
    assert (await accounts.find("default", "ada@example.com")).password_hash == "$argon2id$1"
    await accounts.rehash(account(), "$argon2id$2")
    assert (await accounts.find("default", "ada@example.com")).password_hash == "$argon2id$2"


async def test_a_subscribers_accounts_are_deleted_and_nobody_elses(stores: Stores) -> None:
    accounts, _ = stores
    await accounts.insert(account())
    await accounts.insert(account(email="eve@example.com", subscriber_id="s2"))
    await accounts.insert(account(tenant="other"))

    await accounts.delete_by_subscriber("default", "s1")

    assert await accounts.find("default", "ada@example.com") is None
    assert await accounts.find("default", "eve@example.com") is not None
    assert await accounts.find("other", "ada@example.com") is not None


async def test_a_key_is_stored_as_its_hash(stores: Stores) -> None:
    _, keys = stores

    key = await keys.create("acme", "shop", [Scope.EVENTS, Scope.SUBSCRIBERS], NOW)

    key_id, secret = split_key(key)
    stored = await keys.find(key_id)
    assert (stored.tenant, stored.name, stored.scopes) == ("acme", "shop", ("events", "subscribers"))
    assert stored.secret_hash == hash_secret(secret)
    assert secret not in repr(stored)
    assert len(secret) >= 32
    assert await keys.find("nobody") is None


async def test_a_given_key_can_be_stored_again_and_again_but_not_for_another_tenant(stores: Stores) -> None:
    _, keys = stores

    made = [await keys.create("default", "dev", list(Scope), NOW, key=DEV_KEY) for _ in range(2)]

    assert made == [DEV_KEY, DEV_KEY]
    with pytest.raises(ValueError, match="taken"):
        await keys.create("other", "dev", [], NOW, key=DEV_KEY)
    with pytest.raises(ValueError, match="sk_"):
        await keys.create("default", "dev", [], NOW, key="password123")


async def test_a_key_is_revoked_once_and_by_its_tenant(stores: Stores) -> None:
    _, keys = stores
    key_id, _ = split_key(await keys.create("acme", "shop", [Scope.EVENTS], NOW))

    revoked = [await keys.revoke(tenant, key_id, NOW) for tenant in ("other", "acme", "acme")]

    assert revoked == [False, True, False]
    assert (await keys.find(key_id)).revoked_at == NOW


async def test_the_keys_of_a_tenant_are_listed_the_newest_first(stores: Stores) -> None:
    _, keys = stores
    for minutes, name in ((1, "first"), (3, "third"), (2, "second")):
        await keys.create("acme", name, [Scope.EVENTS], NOW + timedelta(minutes=minutes))
    await keys.create("other", "not theirs", [Scope.EVENTS], NOW)

    found = await keys.find_all("acme")

    assert [key.name for key in found] == ["third", "second", "first"]
    assert found[0] == await keys.find(found[0].key_id)
    assert await keys.find_all("nobody") == []
