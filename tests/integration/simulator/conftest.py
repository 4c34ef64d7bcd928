"""A simulator on free loopback ports, a client, and small ways to speak to it."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import aiohttp
import pytest

from deploy.simulator import Settings, Simulator

FREE = {f"{name}_port": 0 for name in ("email", "sms", "push", "webhook", "smtp")}
Start = Callable[..., Awaitable[Simulator]]
Send = Callable[..., Awaitable[tuple[int, dict[str, Any]]]]


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    """Start a simulator with these settings; it stops with the test."""
    running: list[Simulator] = []

    async def begin(**settings: Any) -> Simulator:
        simulator = await Simulator(Settings(**{**FREE, **settings})).__aenter__()
        running.append(simulator)
        return simulator

    yield begin
    for simulator in running:
        await simulator.__aexit__()


@pytest.fixture
async def sim(start: Start) -> Simulator:
    return await start()


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=20)) as session:
        yield session


@pytest.fixture
def send(sim: Simulator, http: aiohttp.ClientSession) -> Send:
    """Post a contract message; returns the status and the JSON."""

    async def post(delivery_id: str = "d1", channel: str = "EMAIL", **changes: Any) -> tuple[int, dict[str, Any]]:
        body = {"delivery_id": delivery_id, "channel": channel, "to": "ann@example.com", "body": "hello", **changes}
        url = f"{sim.url(channel.lower())}/send"
        async with http.post(url, json=body, headers={"Idempotency-Key": delivery_id}) as answer:
            return answer.status, await answer.json(content_type=None)

    return post


@pytest.fixture
def fault(sim: Simulator, http: aiohttp.ClientSession) -> Callable[..., Awaitable[str]]:
    """Add a fault by HTTP; returns its id."""

    async def add(kind: str, *, rule: dict[str, Any] | None = None, **action: Any) -> str:
        body = {**(rule or {}), "action": {"kind": kind, **action}}
        async with http.post(f"{sim.url('sms')}/faults", json=body) as answer:
            assert answer.status == 201, await answer.text()
            return str((await answer.json())["id"])

    return add
