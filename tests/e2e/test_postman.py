"""The Postman collection works as it stands: every request of it is sent in order, and answered with the status that
its own script expects."""

import json
import re
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from deploy.local.platform import Platform
from libs.common.testing.driver import eventually

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("e2e")]

COLLECTION = Path(__file__).parent.parent.parent / "docs" / "sigmora.postman_collection.json"
_DRAWN = re.compile(r'collectionVariables\.set\("(\w+)", pm\.variables\.replaceIn\("\{\{\$guid\}\}"\)\)')
_TOMORROW = re.compile(r'collectionVariables\.set\("(\w+)", new Date\(Date\.now\(\) \+ 86400000\)\.toISOString\(\)\)')
_KEPT = re.compile(r'collectionVariables\.set\("(\w+)", pm\.response\.json\(\)\.([\w.\[\]]+)\)')
_STATUS = re.compile(r"pm\.response\.to\.have\.status\((\d+)\)")
_UNTIL = re.compile(r"!(\[.*?\])\.includes\(pm\.response\.json\(\)\.(\w+)\)")
_SPOKEN_FOR_ELSEWHERE = {"/u/{}"}
"""Links in mails: nobody makes them by hand."""


def requests() -> Iterator[dict[str, Any]]:
    """Every request, in order."""
    for folder in json.loads(COLLECTION.read_text())["item"]:
        yield from folder["item"]


def script(item: dict[str, Any], listen: str) -> str:
    """What runs before a request, or after it."""
    return "\n".join(line for each in item["event"] if each["listen"] == listen for line in each["script"]["exec"])


def filled(text: str, variables: dict[str, str]) -> str:
    """The text with its variables; names with spaces around them belong to templates."""
    return re.sub(r"\{\{(\w+)\}\}", lambda found: variables[found[1]], text)


def at(document: Any, path: str) -> Any:
    """What `a.b[0].c` means in a document."""
    for name in re.findall(r"\w+", path):
        document = document[int(name)] if isinstance(document, list) else document[name]
    return document


def to_httpx(request: dict[str, Any], variables: dict[str, str]) -> httpx.Request:
    """A request of the collection as it is sent."""
    headers = {filled(each["key"], variables): filled(each["value"], variables) for each in request["header"]}
    body = request.get("body", {})
    raw = filled(body["raw"], variables) if body.get("mode") == "raw" else None
    form = {each["key"]: filled(each["value"], variables) for each in body.get("urlencoded", ())} or None
    return httpx.Request(request["method"], filled(request["url"], variables), headers=headers, content=raw, data=form)


async def test_every_request_of_the_collection_works_as_it_stands(platform: Platform) -> None:
    variables = {each["key"]: each["value"] for each in json.loads(COLLECTION.read_text())["variable"]}
    token = platform.environ["PROVIDER_CALLBACK_TOKEN"]
    variables |= {"baseUrl": platform.url("api"), "apiKey": platform.api_key, "providerToken": token}
    async with httpx.AsyncClient(timeout=15) as http:
        for item in requests():
            for name in _DRAWN.findall(script(item, "prerequest")):
                variables[name] = str(uuid.uuid4())
            for name in _TOMORROW.findall(script(item, "prerequest")):
                variables[name] = (datetime.now(UTC) + timedelta(days=1)).isoformat()
            request, after = item["request"], script(item, "test")

            async def send(request: dict[str, Any] = request) -> httpx.Response:
                return await http.send(to_httpx(request, variables))

            answer = await send()
            if until := _UNTIL.search(after):
                wanted, field = json.loads(until[1]), until[2]
                answer = await eventually(send, lambda seen, f=field, w=wanted: seen.json()[f] in w)  # type: ignore[misc]  # a lambda's defaults have no types
            [expected] = _STATUS.findall(after)
            assert answer.status_code == int(expected), f"{item['name']}: {answer.text}"
            for name, path in _KEPT.findall(after):
                variables[name] = at(answer.json(), path)


async def test_the_collection_has_every_route(platform: Platform) -> None:
    def shape(path: str) -> str:
        path = re.sub(r"^\{\{baseUrl\}\}|\?.*", "", path)
        return re.sub(r"[\w-]*\{\{?\w+\}?\}|(?<=subscriptions/)releases$", "{}", path)

    sent = {(item["request"]["method"], shape(item["request"]["url"])) for item in requests()}
    async with httpx.AsyncClient(base_url=platform.url("api"), timeout=15) as http:
        paths = (await http.get("/docs/openapi.json")).json()["paths"]
    known = {(method.upper(), shape(path)) for path, methods in paths.items() for method in methods if method != "head"}

    assert {(method, path) for method, path in known - sent if path not in _SPOKEN_FOR_ELSEWHERE} == set()
