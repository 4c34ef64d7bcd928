"""The API tells how it is, documents itself, and refuses to run unsafely."""

import asyncio
import os
import re
import socket
import subprocess
import sys
from datetime import timedelta
from typing import Any

import pytest
from litestar.testing import AsyncTestClient
from structlog.testing import capture_logs

from libs.common.domain.channels import Channel

World = Any


async def test_health_says_what_is_there(world: World) -> None:
    well = await world.client.get("/health")
    world.log.away = True
    ill = await world.client.get("/health")

    assert (well.status_code, well.json()) == (200, {"status": "ok", "kafka": "ok"})
    assert (ill.status_code, ill.json()) == (200, {"status": "degraded", "kafka": "unavailable"})


async def test_readiness_fails_and_liveness_does_not_while_kafka_is_away(world: World) -> None:
    assert (await world.client.get("/readyz")).status_code == 200
    world.log.away = True

    assert (await world.client.get("/readyz")).status_code == 503
    assert (await world.client.get("/livez")).status_code == 200


async def test_metrics_count_requests_and_events(world: World) -> None:
    await world.emit()
    await world.emit({})
    await world.client.get("/no/such/route")

    text = (await world.client.get("/metrics")).text

    assert 'sigmora_events_accepted_total{lane="standard"} 1.0' in text
    assert 'sigmora_http_requests_total{method="POST",route="/v1/events",status="202"} 1.0' in text
    assert 'sigmora_events_refused_total{reason="400"} 1.0' in text
    assert "/no/such/route" not in text


async def test_the_documentation_needs_no_other_host(world: World) -> None:
    page = (await world.client.get("/docs")).text
    loaded = re.findall(r"""(?:src|href)=["']([^"']+)["']""", page)

    assert len(loaded) >= 4
    assert all(path.startswith("/docs-assets/") for path in loaded)
    answers = [await world.client.get(path) for path in loaded]
    assert {answer.status_code for answer in answers} == {200}
    assert all(len(answer.content) > 500 for answer in answers)
    assert (await world.client.get("/docs-assets/swagger-editor.js")).status_code == 404


async def test_whoever_opens_the_address_alone_is_shown_the_documentation(world: World) -> None:
    answer = await world.client.get("/", follow_redirects=False)

    assert (answer.status_code, answer.headers["location"]) == (302, "/docs")


async def test_the_schema_names_every_body(world: World) -> None:
    schema = (await world.client.get("/docs/openapi.json")).json()

    assert set(schema["paths"]["/v1/events"]["post"]["requestBody"]["content"]) == {
        "application/json",
        "application/cloudevents+json",
    }
    assert "requestBody" in schema["paths"]["/subscribe"]["post"]
    assert set(schema["components"]["securitySchemes"]) == {"token", "api_key", "provider_token"}
    assert schema["paths"]["/preferences"]["post"]["security"] == [{"token": []}]


async def test_the_schema_says_what_bodies_really_are(world: World) -> None:
    """Mappings were described as lists, and the items of lists were counted as characters."""
    schemas = (await world.client.get("/docs/openapi.json")).json()["components"]["schemas"]

    channels = schemas["NewTemplate"]["properties"]["channels"]
    assert (channels["type"], channels["maxProperties"]) == ("object", len(Channel))
    [tokens, _] = schemas["NewUser"]["properties"]["push_tokens"]["anyOf"]
    assert (tokens["type"], tokens["maxItems"]) == ("array", 50)


async def test_the_schema_names_every_refusal_as_the_problem_that_it_is(world: World) -> None:
    schema = (await world.client.get("/docs/openapi.json")).json()
    page = (await world.client.get("/docs")).text

    emit = schema["paths"]["/v1/events"]["post"]["responses"]
    assert emit.keys() == {"202", "400", "401", "403", "408", "409", "413", "415", "422", "429", "503"}
    answers = [answer for path in schema["paths"].values() for each in path.values() for answer in each["responses"]]
    assert "500" not in answers
    for path in schema["paths"].values():
        for operation in path.values():
            for status, answer in operation["responses"].items():
                assert (int(status) >= 400) == (answer == {"$ref": f"#/components/responses/{status}"})
    assert set(schema["components"]["responses"]["400"]["content"]) == {"application/problem+json"}
    for reference in set(re.findall(r'"\$ref":"#/components/([^"]+)"', page)):
        kind, name = reference.split("/")
        assert name in schema["components"][kind]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/nowhere", 404), ("GET", "/subscribe", 405), ("GET", "/v1/subscribers/a/../../x", 404)],
)
async def test_even_the_frameworks_own_refusals_are_problems(world: World, method: str, path: str, status: int) -> None:
    answer = await world.client.request(method, path, headers=world.key)

    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
    assert answer.json()["type"].startswith("/problems/")


async def test_an_error_of_ours_says_nothing_about_us(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(_tenant: str) -> int:
        raise RuntimeError("mongodb://admin:hunter2@10.0.0.1")

    monkeypatch.setattr(world.subscribers, "count_active", broken)

    answer = await world.client.get("/stats")

    assert (answer.status_code, answer.json()["type"]) == (500, "/problems/internal")
    assert "10.0.0.1" not in answer.text


async def test_a_request_ends_at_its_deadline_when_nobody_answers(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def hang(_tenant: str) -> int:
        await asyncio.Event().wait()
        return 0

    monkeypatch.setattr(world.subscribers, "count_active", hang)
    async with AsyncTestClient(world.app(request_deadline=timedelta(milliseconds=20))) as client:
        answer = await client.get("/stats")

    assert (answer.status_code, answer.headers["retry-after"]) == (503, "2")


async def test_one_line_is_logged_and_it_names_nobody(world: World) -> None:
    with capture_logs() as lines:
        await world.subscribe("canary@example.com")
        await world.client.post("/v1/events?secret=hidden", json={"topic": "t", "title": "canary"}, headers=world.key)

    requests = [line for line in lines if line["event"] == "request"]
    assert [(line["method"], line["route"], line["status"]) for line in requests] == [
        ("POST", "/subscribe", 200),
        ("POST", "/v1/events", 202),
    ]
    assert (requests[1]["tenant"], requests[1]["key_id"]) == ("acme", "all")
    assert not re.search("canary|hidden|0123456789abcdef", str(lines))


@pytest.mark.parametrize("path", ["/docs", "/docs-assets/swagger-ui.css", "/stats"])
async def test_no_other_page_may_show_ours(world: World, path: str) -> None:
    answer = await world.client.get(path)
    assert answer.status_code == 200
    assert (answer.headers["x-frame-options"], answer.headers["x-content-type-options"]) == ("DENY", "nosniff")


async def test_words_that_are_no_methods_make_no_metrics(world: World) -> None:
    """Anybody could make as many as the memory holds."""
    for word in ("FOOBAR1", "FOOBAR2"):
        assert (await world.client.request(word, "/stats")).status_code == 405

    text = (await world.client.get("/metrics")).text
    assert "FOOBAR" not in text
    assert 'method="other"' in text


async def test_browsers_may_call_from_named_origins_only(world: World) -> None:
    async with AsyncTestClient(world.app(cors_origins="https://app.example")) as client:
        named = await client.get("/livez", headers={"Origin": "https://app.example"})
        other = await client.get("/livez", headers={"Origin": "https://evil.example"})

    assert named.headers["access-control-allow-origin"] == "https://app.example"
    assert "access-control-allow-origin" not in other.headers


def start(**environment: str) -> subprocess.CompletedProcess[str]:
    """Starts the API as a process that must not come up."""
    clean = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    command = [sys.executable, "-m", "services.api"]
    return subprocess.run(command, env={**clean, **environment}, capture_output=True, text=True, timeout=60)


GOOD = "q8Zr4Vt1Lx7Nw2Kc9Hs5Jd0Fg3Pb6Ym1"


@pytest.mark.parametrize(
    ("environment", "setting", "value"),
    [
        ({}, "SECRET_KEY", ""),
        ({"SECRET_KEY": "short-one"}, "SECRET_KEY", "short-one"),
        ({"SECRET_KEY": "a" * 64}, "SECRET_KEY", "aaaa"),
        ({"SECRET_KEY": "please-changeme-please-changeme-1"}, "SECRET_KEY", "changeme"),
        ({"SECRET_KEY": "0123456789abcdef0123456789abcdef"}, "SECRET_KEY", "0123456789"),
        ({"SECRET_KEY": " " * 23 + "a b c d e f g h"}, "SECRET_KEY", "a b c"),
        ({"SECRET_KEY": GOOD, "CORS_ORIGINS": "*"}, "CORS_ORIGINS", ""),
        ({"SECRET_KEY": GOOD, "CORS_ORIGINS": "null"}, "CORS_ORIGINS", ""),
        ({"SECRET_KEY": GOOD, "CORS_ORIGINS": "https://*.example.com"}, "CORS_ORIGINS", ""),
        ({"SECRET_KEY": GOOD, "CREDENTIAL_CACHE": "1h"}, "CREDENTIAL_CACHE", ""),
        ({"SECRET_KEY": GOOD, "DEFAULT_TENANT": "Not A Tenant"}, "DEFAULT_TENANT", ""),
    ],
)
def test_an_unsafe_setting_keeps_the_api_from_starting(environment: dict[str, str], setting: str, value: str) -> None:
    """The setting is named, its value is not."""
    ended = start(ENV="prod", **environment)

    assert ended.returncode == 2, ended.stderr
    assert setting in ended.stderr
    assert not value or value not in ended.stderr


def test_a_port_in_use_is_named_with_its_variable() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]

        ended = start(ENV="dev", API_PORT=str(port))

        assert ended.returncode == 2
        assert str(port) in ended.stderr
        assert "API_PORT" in ended.stderr
