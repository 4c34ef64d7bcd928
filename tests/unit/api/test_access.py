"""Who may call what: every route, every way to be somebody else."""

import base64
import json
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import OctKey

World = Any

SECRET = "0f1e2d3c4b5a69788796a5b4c3d2e1f0"
PUBLIC = {
    ("POST", "/subscribe"),
    ("POST", "/token"),
    ("GET", "/stats"),
    ("GET", "/health"),
    ("GET", "/"),
    ("GET", "/livez"),
    ("GET", "/readyz"),
    ("GET", "/metrics"),
    ("GET", "/docs-assets/{name:str}"),
    # Links in mails: the token in them is the credential.
    ("GET", "/u/{token:str}"),
    ("POST", "/u/{token:str}"),
}


async def test_every_route_but_the_public_ones_needs_a_credential(world: World) -> None:
    """Also the routes that somebody adds tomorrow."""
    open_routes = set()
    for route in world.client.app.routes:
        for method in sorted(set(route.methods) - {"OPTIONS", "HEAD"}):
            if route.path.startswith("/docs") and method == "GET" and "{name" not in route.path:
                continue
            path = route.path.replace(":str}", "}").replace(":uuid}", "}")
            path = path.replace("{", "").replace("}", "")
            answer = await world.client.request(method, path)
            if answer.status_code == 401:
                assert answer.headers["www-authenticate"].startswith("Bearer")
                assert answer.headers["content-type"] == "application/problem+json"
            else:
                open_routes.add((method, route.path))

    assert open_routes == PUBLIC


def _b64(value: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


def forged(world: World, header: dict[str, Any], key: str = SECRET, **claims: Any) -> str:
    """A token like ours, but for what is changed; a claim of None is left out."""
    now = int(world.now.timestamp())
    subscriber = next(iter(world.accounts._stored.values())).subscriber_id
    good = {
        "iss": "sigmora",
        "aud": "sigmora-api",
        "sub": subscriber,
        "tenant": "default",
        "tv": 1,
        "jti": "j",
        "iat": now,
        "exp": now + 900,
    }
    all_claims = {name: value for name, value in {**good, **claims}.items() if value is not None}
    full = {"alg": "HS256", "typ": "at+jwt", **header}
    return jwt.encode(full, all_claims, OctKey.import_key(key), algorithms=["HS256", "HS512"])


async def asked_with(world: World, token: str) -> int:
    """The status that a person's route gives to a token."""
    answer = await world.client.get("/preferences", headers={"Authorization": f"Bearer {token}"})
    return int(answer.status_code)


async def test_a_good_token_is_accepted(world: World) -> None:
    """Else the refusals below would prove nothing."""
    await world.subscribe()

    assert await asked_with(world, forged(world, {})) == 200


@pytest.mark.parametrize(
    ("header", "claims"),
    [
        ({"alg": "HS512"}, {}),
        ({"typ": "JWT"}, {}),
        ({"typ": "refresh+jwt"}, {}),
        ({"kid": "../../dev/null"}, {}),
        ({}, {"exp": None}),
        ({}, {"exp": "tomorrow"}),
        ({}, {"exp": 1}),
        ({}, {"nbf": 10**11}),
        ({}, {"iat": 10**11}),
        ({}, {"iss": "somebody"}),
        ({}, {"iss": None}),
        ({}, {"aud": "other-api"}),
        ({}, {"aud": None}),
        ({}, {"sub": None}),
        ({}, {"sub": "nobody"}),
        ({}, {"jti": None}),
        ({}, {"iat": None}),
        ({}, {"tenant": None}),
        ({}, {"tenant": "acme"}),
        ({}, {"tenant": {"$gt": ""}}),
        ({}, {"tv": None}),
        ({}, {"tv": 2}),
        ({}, {"tv": True}),
    ],
)
async def test_a_token_that_is_not_quite_ours_is_refused(world: World, header: Any, claims: Any) -> None:
    await world.subscribe()

    assert await asked_with(world, forged(world, header, **claims)) == 401


async def test_a_token_of_another_key_is_refused(world: World) -> None:
    await world.subscribe()

    assert await asked_with(world, forged(world, {}, key="another key of thirty-two bytes!")) == 401


async def test_tokens_that_are_none_are_refused(world: World) -> None:
    await world.subscribe()
    header, payload, signature = forged(world, {}).split(".")
    none = _b64({"alg": "none", "typ": "at+jwt"})
    tokens = [
        "",
        "x",
        "a.b.c",
        f"{none}.{payload}.",
        f"{none}.{payload}.{signature}",
        f"{header}.{payload}.",
        f"{header}.{payload}.{signature[:-2]}",
        f"{_b64({'alg': 'HS256', 'typ': 'at+jwt', 'crit': ['x'], 'x': 1})}.{payload}.{signature}",
        f"{_b64({'alg': 'RS256', 'jku': 'https://evil.example/keys'})}.{payload}.{signature}",
        "a.b.c.d.e",
        "x" * 4_000 + ".y.z",
        "x" * 60_000,
        base64.urlsafe_b64encode(b"[" * 2_900).decode() + ".e30.x",
    ]

    assert {await asked_with(world, token) for token in tokens} == {401}


async def test_a_token_ends_with_its_time(world: World) -> None:
    me = await world.person()

    world.pass_time(15 * 60 + 29)
    assert (await world.client.get("/preferences", headers=me)).status_code == 200
    world.pass_time(2)
    assert (await world.client.get("/preferences", headers=me)).status_code == 401


@pytest.mark.parametrize("scheme", ["Basic", "Token", ""])
async def test_only_bearer_is_a_scheme(world: World, scheme: str) -> None:
    token = (await world.person())["Authorization"].removeprefix("Bearer ")

    answer = await world.client.get("/preferences", headers={"Authorization": f"{scheme} {token}"})

    assert answer.status_code == 401


@pytest.mark.parametrize("header", ["X-API-Key", "Authorization"])
async def test_a_key_works_in_both_headers(world: World, header: str) -> None:
    key = world.key["X-API-Key"]
    value = f"Bearer {key}" if header == "Authorization" else key

    answer = await world.client.post("/v1/events", json={"topic": "t", "title": "x"}, headers={header: value})

    assert answer.status_code == 202


@pytest.mark.parametrize(
    "key",
    [
        "",
        "sk_",
        "sk_all_0123456789abcdef0123456789abcdee",
        "sk_all_0123456789abcdef",
        "sk_nobody_0123456789abcdef0123456789abcdef",
        "sk_all_0123456789abcdef0123456789abcdef0",
        "x" * 10_000,
    ],
)
async def test_a_wrong_key_is_refused(world: World, key: str) -> None:
    assert (await world.emit(**{"X-API-Key": key})).status_code == 401


async def test_a_key_in_the_query_string_is_refused_even_beside_a_good_one(world: World) -> None:
    key = world.key["X-API-Key"]

    answer = await world.client.post(f"/v1/events?api_key={key}", json={"topic": "t", "title": "x"}, headers=world.key)

    assert answer.status_code == 401
    assert key not in answer.text


async def test_a_key_without_the_scope_is_forbidden(world: World) -> None:
    key = await world.api_keys.create("acme", "n", ["subscribers"], world.now)

    answer = await world.emit(**{"X-API-Key": key})

    assert (answer.status_code, answer.json()["type"]) == (403, "/problems/forbidden")


async def test_a_revoked_key_ends_within_five_seconds(world: World) -> None:
    key = await world.api_keys.create("acme", "n", ["events"], world.now)
    headers = {"X-API-Key": key}
    assert (await world.emit(**headers)).status_code == 202

    await world.api_keys.revoke("acme", key.split("_")[1], world.now)
    world.pass_time(5.1)

    assert (await world.emit(**headers)).status_code == 401


async def test_a_persons_token_opens_no_services_route_and_a_key_no_persons(world: World) -> None:
    me = await world.person()

    assert (await world.client.post("/v1/events", json={}, headers=me)).status_code == 401
    assert (await world.client.get("/preferences", headers=world.key)).status_code == 401
