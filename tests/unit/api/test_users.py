"""Users through the API, on fakes: subscribers in NotifyHub's shape."""

from typing import Any

import pytest

from libs.common.domain.api_keys import Scope

World = Any
USER = {"id": "u1", "name": "Ada", "email": "Ada@Example.com", "phone": "+49 170 1234567", "push_token": "t1"}


async def call(world: World, method: str, path: str, body: Any = None, key: str | None = None) -> Any:
    """A request with the tenant's key, or another."""
    headers = {"X-API-Key": key} if key else world.key
    return await world.client.request(method, path, headers=headers, **({} if body is None else {"json": body}))


async def test_a_user_is_a_subscriber_in_another_shape(world: World) -> None:
    made = await call(world, "POST", "/users", USER)

    assert (made.status_code, made.headers["location"]) == (201, "/users/u1")
    found = (await call(world, "GET", "/users/u1")).json()
    assert found == made.json()
    assert (found["email"], found["phone"], found["push_token"]) == ("ada@example.com", "+491701234567", "t1")
    assert found["push_tokens"] == [{"endpoint": "main", "token": "t1"}]
    assert (await call(world, "GET", "/v1/subscribers/u1")).json()["email"] == "ada@example.com"
    assert (await call(world, "POST", "/users", USER)).status_code == 409
    assert (await call(world, "POST", "/users", {"email": "x@example.com"})).json()["id"]


async def test_a_patch_keeps_what_it_does_not_name_and_a_put_does_not(world: World) -> None:
    await call(world, "POST", "/users", {**USER, "preferences": {"topic": ["tech"]}})

    patched = (await call(world, "PATCH", "/users/u1", {"name": "Lovelace"})).json()
    put = (await call(world, "PUT", "/users/u1", {"name": "Ada", "email": "new@example.com"})).json()

    assert (patched["name"], patched["email"], patched["push_token"]) == ("Lovelace", "ada@example.com", "t1")
    assert (put["name"], put["email"], put["phone"], put["push_tokens"]) == ("Ada", "new@example.com", "", [])
    assert put["preferences"]["topic"] == ["tech"]
    assert (await call(world, "PUT", "/users/u2", {})).status_code == 404


async def test_bare_tokens_get_names_that_stay(world: World) -> None:
    """A delivery is known by its device's name: the same token must not become another device."""
    await call(world, "POST", "/users", {"id": "u1", "push_tokens": ["a", "b"]})
    before = (await call(world, "GET", "/users/u1")).json()["push_tokens"]

    after = (await call(world, "PATCH", "/users/u1", {"push_tokens": ["b", "c"]})).json()["push_tokens"]

    assert before[1] == after[0]
    assert len({device["endpoint"] for device in before + after}) == 3


async def test_a_webhooks_secret_is_shown_once_and_stays(world: World) -> None:
    hook = {"endpoint": "crm", "url": "https://example.com/hook"}
    made = (await call(world, "POST", "/users", {"id": "u1", "webhooks": [hook]})).json()["webhooks"]
    again = (await call(world, "PATCH", "/users/u1", {"webhooks": [{**hook, "url": "https://example.com/2"}]})).json()
    stored = await world.subscribers.find("acme", "u1")

    assert made[0]["secret"].startswith("whsec_")
    assert "secret" not in again["webhooks"][0]
    assert stored.webhooks[0].secrets == (made[0]["secret"],)

    own = "whsec_" + "A" * 32
    changed = (await call(world, "PATCH", "/users/u1", {"webhooks": [{**hook, "secret": own}]})).json()
    assert changed["webhooks"][0]["secret"] == own
    assert (await world.subscribers.find("acme", "u1")).webhooks[0].secrets == (own, made[0]["secret"])
    assert "secret" not in (await call(world, "GET", "/users/u1")).json()["webhooks"][0]


async def test_users_are_listed_in_pages(world: World) -> None:
    for name in ("a", "b", "c"):
        await call(world, "POST", "/users", {"id": name})
    first = (await call(world, "GET", "/users?limit=2")).json()
    second = (await call(world, "GET", f"/users?cursor={first['next_cursor']}")).json()

    assert [item["id"] for item in first["items"] + second["items"]] == ["a", "b", "c"]
    assert second["next_cursor"] is None


async def test_an_erased_user_is_gone(world: World) -> None:
    await call(world, "POST", "/users", USER)

    assert (await call(world, "DELETE", "/users/u1")).status_code == 204
    assert {(await call(world, method, "/users/u1")).status_code for method in ("GET", "DELETE")} == {404}
    assert (await call(world, "GET", "/users")).json()["items"] == []


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"email": "a@b\r\nBcc: x"}, "email"),
        ({"phone": "12"}, "phone"),
        ({"role": "admin"}, "role"),
        ({"tenant": "other"}, "tenant"),
        ({"push_token": "a", "push_tokens": ["b"]}, "push_token"),
        ({"push_tokens": [{"endpoint": "x", "token": "a"}, {"endpoint": "x", "token": "b"}]}, "push_tokens[1]"),
        ({"webhooks": [{"url": "ftp://example.com"}]}, "webhooks[0].url"),
        ({"webhooks": [{"url": "https://me:pw@example.com"}]}, "webhooks[0].url"),
        ({"webhooks": [{"url": "https://example.com/#f"}]}, "webhooks[0].url"),
        ({"webhooks": [{"url": "https://example.com", "secret": "short"}]}, "webhooks[0].secret"),
        ({"time_zone": "Mars/Base"}, "time_zone"),
    ],
)
async def test_what_cannot_be_is_refused_by_place(world: World, body: dict[str, Any], pointer: str) -> None:
    answer = await call(world, "POST", "/users", body)

    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (400, pointer)


async def test_users_are_their_tenants_and_need_the_scope(world: World) -> None:
    await call(world, "POST", "/users", USER)
    other = await world.api_keys.create("other", "s", [Scope.SUBSCRIBERS], world.now)
    events = await world.api_keys.create("acme", "e", [Scope.EVENTS], world.now)
    requests = [("GET", None), ("PUT", {}), ("PATCH", {}), ("DELETE", None)]

    assert {(await call(world, method, "/users/u1", body, other)).status_code for method, body in requests} == {404}
    assert {(await call(world, method, "/users/u1", body, events)).status_code for method, body in requests} == {403}
    assert (await call(world, "GET", "/users", key=other)).json()["items"] == []


async def test_a_user_who_asked_for_nothing_is_not_shown_as_subscribed(world: World) -> None:
    """Empty preferences mean every event; a user without any looked the same, and was told of none."""
    await call(world, "POST", "/users", {"id": "u1"})
    await call(world, "POST", "/users", {"id": "u2", "preferences": {"topic": []}})

    shown = [(await call(world, "GET", f"/users/{name}")).json()["preferences"]["subscribed"] for name in ("u1", "u2")]

    assert shown == [False, True]
