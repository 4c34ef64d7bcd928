"""Suppressed addresses through the API: seen without the addresses, and lifted."""

from typing import Any

import pytest

from libs.common.domain.api_keys import Scope
from libs.common.domain.channels import Channel

World = Any


async def test_suppressions_are_listed_without_addresses_and_lifted(world: World) -> None:
    for number in range(3):
        await world.suppressions.add("acme", Channel.EMAIL, f"canary{number}@example.com", "bounced", world.now, "d")
    await world.suppressions.add("other", Channel.EMAIL, "x@example.com", "complained", world.now)

    first = (await world.client.get("/v1/suppressions?limit=2", headers=world.key)).json()
    second = await world.client.get(f"/v1/suppressions?cursor={first['next_cursor']}", headers=world.key)

    items = first["items"] + second.json()["items"]
    assert [item["reason"] for item in items] == ["HARD_BOUNCE"] * 3
    assert "canary" not in str(items)
    path = f"/v1/suppressions/{items[0]['id']}"
    assert (await world.client.delete(path, headers=world.key)).status_code == 204
    assert (await world.client.delete(path, headers=world.key)).status_code == 404


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"channel": "EMAIL", "address": " Ada@Example.com"}, 204),
        ({"channel": "EMAIL", "address": "ben@example.com"}, 404),
        ({"channel": "EMAIL", "address": "no address"}, 400),
        ({"channel": "PUSH", "address": "token"}, 400),
    ],
)
async def test_an_address_is_lifted_by_whoever_knows_it(world: World, body: dict[str, str], code: int) -> None:
    await world.suppressions.add("acme", Channel.EMAIL, "ada@example.com", "bounced", world.now)

    answer = await world.client.post("/v1/suppressions/lift", json=body, headers=world.key)

    assert answer.status_code == code
    assert (len(world.suppressions.kept) == 0) is (code == 204)


async def test_only_an_operator_of_the_tenant_may_lift(world: World) -> None:
    await world.suppressions.add("acme", Channel.EMAIL, "ada@example.com", "bounced", world.now)
    [key] = world.suppressions.kept
    other = await world.api_keys.create("other", "o", [Scope.OPERATIONS], world.now)
    events = await world.api_keys.create("acme", "e", [Scope.EVENTS], world.now)

    answers = [
        await world.client.delete(f"/v1/suppressions/{key}", headers={"X-API-Key": each}) for each in (other, events)
    ]

    assert [answer.status_code for answer in answers] == [404, 403]
    assert key in world.suppressions.kept
