"""What every store of claims keeps to: the one in memory, and MongoDB."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from libs.common.adapters.mongo.claims import MongoClaims
from libs.common.adapters.mongo.connect import open_database
from libs.common.domain.channels import Channel
from libs.common.domain.claims import RequestClaim
from libs.common.settings import MongoSettings
from libs.common.testing.claims import MemoryClaims

pytestmark = pytest.mark.integration


@pytest.fixture(params=["memory", "mongo"])
async def claims(request: pytest.FixtureRequest) -> AsyncIterator[Any]:
    """A store without claims."""
    if request.param == "memory":
        yield MemoryClaims()
        return
    stack, name = request.getfixturevalue("stack"), request.getfixturevalue("database_name")
    async with open_database(MongoSettings(uri=stack.mongodb_uri, db=name), create_indexes=True):
        yield MongoClaims()


def claim(key: str, fingerprint: str = "f", tenant: str = "acme") -> RequestClaim:
    """A claim for the event of the same name."""
    made = datetime(2030, 1, 1, tzinfo=UTC)
    return RequestClaim(id=key, tenant=tenant, fingerprint=fingerprint, event_id=f"event-{key}", created_at=made)


async def test_the_first_claim_stands_and_the_second_is_told_of_it(claims: Any) -> None:
    assert await claims.insert([claim("a"), claim("b")]) == {}

    there = await claims.insert([claim("b", "other"), claim("c"), claim("a", "another")])

    assert there == {"a": claim("a"), "b": claim("b")}
    assert await claims.insert([claim("c", "late")]) == {"c": claim("c")}


async def test_one_key_twice_in_one_write_is_the_first(claims: Any) -> None:
    assert await claims.insert([claim("a", "first"), claim("a", "second")]) == {"a": claim("a", "first")}


async def test_of_many_at_once_one_wins(claims: Any) -> None:
    answers = await asyncio.gather(*(claims.insert([claim("a", str(n))]) for n in range(8)))

    winners = [n for n, there in enumerate(answers) if there == {}]
    assert len(winners) == 1
    assert {there["a"].fingerprint for there in answers if there} == {str(winners[0])}


async def test_an_event_is_found_by_its_tenant_alone(claims: Any) -> None:
    await claims.insert([claim("a")])

    assert await claims.find_event("acme", "event-a") == claim("a")
    assert await claims.find_event("other", "event-a") is None
    assert await claims.find_event("acme", "event-b") is None


async def test_a_direct_notification_is_found_by_its_id_and_its_tenant_alone(claims: Any) -> None:
    direct = msgspec.structs.replace(
        claim("a"), notification_id="n", subscriber_id="ada", channels=(Channel.EMAIL,), template_version=3
    )
    await claims.insert([direct, claim("b"), claim("c")])

    assert await claims.find_notification("acme", "n") == direct
    assert await claims.find_notification("other", "n") is None
    assert await claims.find("a") == direct
    assert await claims.find("d") is None
