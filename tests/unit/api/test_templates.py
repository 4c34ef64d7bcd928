"""Templates through the API, on fakes: NotifyHub's shape in, versions behind it."""

from typing import Any

import pytest

from libs.common.domain.api_keys import Scope
from libs.common.domain.errors import Unavailable

World = Any
WORDS = {
    "EMAIL": {"subject": "Hi {{ name }}", "body": "Order {{ order }}", "html": "<p>{{ order }}</p>"},
    "PUSH": {"title": "Hi", "body": "Order {{ order }}"},
}
TEMPLATE = {
    "id": "t1",
    "name": "Order",
    "channels": WORDS,
    "locales": {"de": {"PUSH": {"title": "Hallo", "text": "Nr. {{ order }}"}}},
}


async def call(world: World, method: str, path: str, body: Any = None, key: str | None = None) -> Any:
    """A request with the tenant's key, or another."""
    headers = {"X-API-Key": key} if key else world.key
    return await world.client.request(method, path, headers=headers, **({} if body is None else {"json": body}))


async def test_a_template_is_in_use_at_once_and_reads_as_it_was_written(world: World) -> None:
    made = await call(world, "POST", "/templates", TEMPLATE)
    found = await call(world, "GET", "/templates/t1")

    assert (made.status_code, made.headers["location"]) == (201, "/templates/t1")
    assert found.json() == made.json()
    shown = found.json()
    assert (shown["id"], shown["version"], shown["published"]) == ("t1", 1, True)
    assert shown["channels"]["EMAIL"] == {
        "subject": "Hi {{ name }}",
        "text": "Order {{ order }}",
        "html": "<p>{{ order }}</p>",
    }
    assert shown["locales"]["de"]["PUSH"]["text"] == "Nr. {{ order }}"
    assert (await call(world, "POST", "/templates", TEMPLATE)).status_code == 409
    assert (await call(world, "GET", "/v1/templates/t1")).json() == shown


async def test_a_change_is_the_next_version_and_a_draft_is_not_in_use(world: World) -> None:
    await call(world, "POST", "/templates", TEMPLATE)
    draft = await call(world, "PUT", "/templates/t1", {"name": "2", "channels": {"SMS": {"text": "2"}}, "draft": True})
    current = await call(world, "GET", "/templates/t1")

    assert (draft.json()["version"], draft.json()["published"]) == (2, False)
    assert (current.json()["version"], current.json()["draft_revision"]) == (1, 1)
    assert (await call(world, "GET", "/templates/t1?draft=true")).json()["name"] == "2"

    stale = await call(world, "POST", "/templates/t1/publish", {"revision": 7})
    published = await call(world, "POST", "/templates/t1/publish")
    replaced = await call(world, "PUT", "/templates/t1", {"channels": {"SMS": {"text": "3"}}})

    assert (stale.status_code, published.json()["version"], replaced.json()["version"]) == (422, 2, 3)
    assert stale.json()["type"] == "/problems/overtaken"
    assert (await call(world, "GET", "/templates/t1?version=1")).json()["channels"].keys() == {"EMAIL", "PUSH"}
    assert [item["version"] for item in (await call(world, "GET", "/templates/t1/versions")).json()["items"]] == [
        3,
        2,
        1,
    ]


async def test_a_new_template_is_in_use_by_one_write(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between two, the database could go away: 503, and the next try found the id taken and the template not in use."""

    async def away(_template: Any) -> bool:
        raise Unavailable("MongoDB: away")

    monkeypatch.setattr(world.templates, "replace", away)

    assert (await call(world, "POST", "/templates", TEMPLATE)).status_code == 201
    assert (await call(world, "GET", "/templates/t1")).json()["published"]


async def test_a_deleted_template_is_gone(world: World) -> None:
    await call(world, "POST", "/templates", TEMPLATE)

    assert (await call(world, "DELETE", "/templates/t1")).status_code == 204
    paths = [("GET", ""), ("DELETE", ""), ("GET", "/versions"), ("POST", "/publish")]
    assert {(await call(world, method, f"/templates/t1{path}")).status_code for method, path in paths} == {404}


async def test_templates_are_listed_in_pages(world: World) -> None:
    for name in ("a", "b", "c"):
        await call(world, "POST", "/templates", {**TEMPLATE, "id": name})
    first = (await call(world, "GET", "/templates?limit=2")).json()
    second = (await call(world, "GET", f"/templates?limit=2&cursor={first['next_cursor']}")).json()

    assert [item["id"] for item in first["items"] + second["items"]] == ["a", "b", "c"]
    assert second["next_cursor"] is None
    assert (await call(world, "GET", "/templates?cursor=!")).status_code == 400


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"channels": {}}, "channels"),
        ({"channels": {"EMAIL": {"subject": "", "text": "x"}}}, "channels.EMAIL.subject"),
        ({"channels": {"SMS": {"text": "{{ ''.__class__ }}"}}}, "channels.SMS.text"),
        ({"channels": {"SMS": {"text": "{% for a in b %}"}}}, "channels.SMS.text"),
        ({"channels": {"SMS": {"text": "{% for loop in b %}{% endfor %}"}}}, "channels.SMS.text"),
        ({"channels": {"SMS": {"text": "x"}}, "locales": {"de": {"SMS": {"text": "{{"}}}}, "locales.de.SMS.text"),
        ({"channels": {"SMS": {"text": "x", "body": "y"}}}, "channels.SMS"),
        ({"channels": {"FAX": {"text": "x"}}}, "channels.FAX.[key]"),
        ({"channels": {"SMS": {"text": "x"}}, "tenant": "other"}, "tenant"),
        ({"id": "validate", "channels": {"SMS": {"text": "x"}}}, "id"),
        ({"channels": {"SMS": {"text": "x" * 70_000}}}, "channels.SMS.text"),
    ],
)
async def test_what_cannot_be_rendered_is_refused_by_place(world: World, body: dict[str, Any], pointer: str) -> None:
    answer = await call(world, "POST", "/templates", body)

    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (400, pointer)
    assert (await call(world, "GET", "/templates")).json()["items"] == []


async def test_a_template_can_be_tried_without_storing_it(world: World) -> None:
    good = await call(world, "POST", "/templates/validate", TEMPLATE)
    bad = await call(world, "POST", "/templates/validate", {"channels": {"SMS": {"text": "{{"}}})

    assert good.json() == {"valid": True, "errors": [], "variables": ["order"]}
    assert (bad.status_code, bad.json()["valid"], bad.json()["errors"][0]["pointer"]) == (
        200,
        False,
        "channels.SMS.text",
    )
    assert (await call(world, "GET", "/templates")).json()["items"] == []


async def test_a_preview_shows_what_a_recipient_would_get(world: World) -> None:
    await call(world, "POST", "/templates", TEMPLATE)
    path = "/templates/t1/preview"

    email = await call(world, "POST", path, {"variables": {"name": "Ada", "order": "<7>"}})
    german = await call(world, "POST", path, {"channel": "PUSH", "locale": "de-AT", "variables": {"order": 7}})
    missing = await call(world, "POST", path, {"channel": "PUSH"})
    wordless = await call(world, "POST", path, {"channel": "SMS", "variables": {"order": 7}})

    assert email.json() == {"subject": "Hi Ada", "text": "Order <7>", "html": "<p>&lt;7&gt;</p>"}
    assert german.json()["text"] == "Nr. 7"
    assert [answer.status_code for answer in (missing, wordless)] == [422, 422]
    assert "order" in missing.json()["errors"][0]["message"]


async def test_templates_are_their_tenants_and_need_the_scope(world: World) -> None:
    await call(world, "POST", "/templates", TEMPLATE)
    other = await world.api_keys.create("other", "t", [Scope.TEMPLATES], world.now)
    events = await world.api_keys.create("acme", "e", [Scope.EVENTS], world.now)
    requests = [
        ("GET", "/templates/t1", None),
        ("PUT", "/templates/t1", {"channels": {"SMS": {"text": "x"}}}),
        ("DELETE", "/templates/t1", None),
        ("POST", "/templates/t1/publish", None),
        ("GET", "/templates/t1/versions", None),
        ("POST", "/templates/t1/preview", {}),
    ]

    assert {(await call(world, *request, key=other)).status_code for request in requests} == {404}
    assert {(await call(world, *request, key=events)).status_code for request in requests} == {403}
