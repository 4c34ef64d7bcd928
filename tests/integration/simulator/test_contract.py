"""The HTTP provider contract, and what can be asked about it."""

from typing import Any

import aiohttp
import msgspec
import pytest

from deploy.simulator import Simulator

GOOD = {"delivery_id": "d1", "channel": "EMAIL", "to": "ann@example.com", "body": "hello"}
KEY = {"Idempotency-Key": "d1"}


async def get(http: aiohttp.ClientSession, url: str, status: int = 200) -> Any:
    async with http.get(url) as answer:
        assert answer.status == status, await answer.text()
        return await answer.json(content_type=None)


@pytest.mark.parametrize("channel", ["EMAIL", "SMS", "PUSH"])
async def test_a_message_is_accepted_and_shown_on_every_port(
    sim: Simulator, http: Any, send: Any, channel: str
) -> None:
    status, answer = await send("d1", channel, title="T", metadata={"notification_id": "n1"})
    for port in ("email", "sms", "push", "webhook"):
        (message,) = await get(http, f"{sim.url(port)}/messages")

        assert status == 200
        assert message["id"] == answer["provider_message_id"]
        assert (message["channel"], message["delivery_id"], message["title"]) == (channel, "d1", "T")
        assert message["metadata"] == {"notification_id": "n1"}
        assert message["idempotency_key"] == "d1"
        assert message["at"].endswith("Z")
        assert isinstance(message["at_ns"], int)


async def test_the_same_key_gets_the_same_answer_and_no_second_message(sim: Simulator, http: Any, send: Any) -> None:
    first, second = await send("d1"), await send("d1")
    attempts = await get(http, f"{sim.url('email')}/attempts?key=d1")

    assert first == second
    assert [m.attempts for m in sim.inbox.messages] == [2]
    assert [(a["attempt"], a["served"], a["effect"]) for a in attempts] == [(1, "accept", True), (2, "accept", False)]
    assert attempts[0]["at_ns"] <= attempts[0]["answered_ns"] <= attempts[1]["at_ns"]


async def test_keys_are_not_honoured_when_the_settings_say_so(start: Any, http: Any) -> None:
    sim = await start(honour_keys=False)
    ids = set()
    for _ in range(2):
        async with http.post(f"{sim.url('email')}/send", json=GOOD, headers=KEY) as answer:
            ids.add((await answer.json())["provider_message_id"])

    assert len(ids) == 2
    assert sim.inbox.totals["effects"] == 2


async def test_the_api_key_is_asked_for_when_there_is_one(start: Any, http: Any) -> None:
    sim = await start(api_key="secret")
    answers = []
    for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "Bearer secret"}):
        async with http.post(
            f"{sim.url('sms')}/send", json={**GOOD, "channel": "SMS"}, headers=KEY | headers
        ) as answer:
            answers.append((answer.status, answer.content_type))

    assert answers == [(401, "application/problem+json")] * 2 + [(200, "application/json")]
    assert [a.served for a in sim.inbox.attempts] == ["reject", "reject", "accept"]


@pytest.mark.parametrize(
    ("raw", "headers", "field"),
    [
        (b"", KEY, None),
        (b"{", KEY, None),
        (b"\xff", KEY, None),
        (b"[" * 100_000, KEY, None),
        (b"{}", KEY, "delivery_id"),
        (b'{"delivery_id":"d1","channel":"EMAIL","to":"a","body":"x","metadata":{"a":' + b"[" * 100_000, KEY, None),
        (
            b'{"delivery_id":"d1","channel":"EMAIL","to":"a","body":"x","metadata":{"a":'
            + b"[" * 60
            + b"]" * 60
            + b"}}",
            KEY,
            "metadata",
        ),
        (b'{"delivery_id":"d1","channel":"EMAIL","body":"x"}', KEY, "to"),
        (b'{"delivery_id":"d1","channel":"EMAIL","to":"","body":"x"}', KEY, "to"),
        (b'{"delivery_id":"d1","channel":"EMAIL","to":{"$gt":""},"body":"x"}', KEY, "to"),
        (b'{"delivery_id":"d1","channel":"SMS","to":"a","body":"x"}', KEY, "channel"),
        (b'{"delivery_id":"d1","channel":"EMAIL","to":"a","body":"x"}', {}, "Idempotency-Key"),
        (
            b'{"delivery_id":"d1","channel":"EMAIL","to":"a","body":"x"}',
            {"Idempotency-Key": "k" * 256},
            "Idempotency-Key",
        ),
    ],
)
async def test_a_malformed_message_is_refused_and_its_field_is_named(
    sim: Simulator, http: Any, raw: bytes, headers: dict[str, str], field: str | None
) -> None:
    async with http.post(f"{sim.url('email')}/send", data=raw, headers=headers) as answer:
        problem = await answer.json(content_type="application/problem+json")

    assert (answer.status, problem["status"]) == (400, 400)
    assert [error["field"] for error in problem.get("errors", [])] == ([field] if field else [])
    assert [(a.served, a.status) for a in sim.inbox.attempts] == [("reject", 400)]


async def test_a_body_beyond_the_limit_is_refused(start: Any, http: Any) -> None:
    sim = await start(max_body_bytes=1000)
    async with http.post(f"{sim.url('email')}/send", json={**GOOD, "body": "x" * 1000}, headers=KEY) as answer:
        assert answer.status == 413
        assert answer.content_type == "application/problem+json"


async def test_messages_are_filtered(sim: Simulator, http: Any, send: Any) -> None:
    await send("d1")
    await send("d2", to="bob@example.com")
    await send("d3", "SMS", to="+491")
    url = f"{sim.url('email')}/messages"
    second = sim.inbox.messages[1]

    async def ids(query: str) -> list[str]:
        return [message["delivery_id"] for message in await get(http, f"{url}{query}")]

    assert await ids("") == ["d1", "d2", "d3"]
    assert await ids("?to=bob@example.com") == ["d2"]
    assert await ids("?channel=email") == ["d1", "d2"]
    assert await ids("?delivery_id=d3") == ["d3"]
    assert await ids("?channel=SMS&to=bob@example.com") == []
    assert await ids(f"?since={second.at_ns}") == ["d3"]
    assert await ids("?since=2001-01-01T00:00:00%2B00:00") == ["d1", "d2", "d3"]
    assert await ids("?since=2001-01-01T00:00:00+00:00") == ["d1", "d2", "d3"]
    assert await ids("?limit=1") == ["d3"]
    assert await ids("?limit=0") == []


@pytest.mark.parametrize("query", ["since=yesterday", "since=2026-01-01T00:00:00", "limit=-1", "channel=FAX", "tp=x"])
async def test_a_bad_filter_is_refused_and_named(sim: Simulator, http: Any, query: str) -> None:
    problem = await get(http, f"{sim.url('email')}/messages?{query}", 400)

    assert problem["errors"][0]["field"] == query.partition("=")[0]


async def test_clearing_makes_a_fresh_provider(sim: Simulator, http: Any, send: Any) -> None:
    await send("d1")
    async with http.delete(f"{sim.url('push')}/messages") as answer:
        assert answer.status == 204
    await send("d1")

    assert await get(http, f"{sim.url('email')}/counts") == {"attempts": 1, "accepts": 1, "effects": 1}


@pytest.mark.parametrize("name", ["email", "sms", "push", "webhook"])
async def test_health_is_told(sim: Simulator, http: Any, name: str) -> None:
    assert await get(http, f"{sim.url(name)}/health") == {"status": "ok"}


@pytest.mark.parametrize(
    ("method", "path", "status"), [("GET", "/nope", 404), ("GET", "/send", 405), ("DELETE", "/faults/f9", 404)]
)
async def test_what_is_not_there_is_a_problem(sim: Simulator, http: Any, method: str, path: str, status: int) -> None:
    async with http.request(method, sim.url("email") + path) as answer:
        assert (answer.status, answer.content_type) == (status, "application/problem+json")


async def test_an_attempt_is_on_disk_before_its_answer(start: Any, http: Any, tmp_path: Any) -> None:
    sim = await start(ledger=tmp_path / "attempts.jsonl")
    for n in range(3):
        headers = {"Idempotency-Key": f"d{n}"}
        async with http.post(f"{sim.url('email')}/send", json={**GOOD, "delivery_id": f"d{n}"}, headers=headers):
            lines = (tmp_path / "attempts.jsonl").read_bytes().splitlines()
            told = [msgspec.json.decode(line) for line in lines]

            assert [(line["delivery_id"], line["served"]) for line in told][-1] == (f"d{n}", "accept")
            assert len(told) == n + 1
