"""The program itself: how it starts, and how it ends."""

import asyncio
import os
import signal
import socket
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest

ROOT = Path(__file__).parents[3]
NAMES = ("EMAIL", "SMS", "PUSH", "WEBHOOK", "SMTP")
Run = Callable[..., Awaitable[Process]]


@pytest.fixture
async def run() -> AsyncIterator[Run]:
    """Start the program with free ports and these variables."""
    started: list[Process] = []

    async def begin(**variables: str) -> Process:
        free = {f"SIMULATOR_{name}_PORT": "0" for name in NAMES}
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-W",
            "error",
            "-m",
            "deploy.simulator",
            cwd=ROOT,
            env={**os.environ, **free, **variables},
            stdout=PIPE,
            stderr=PIPE,
        )
        started.append(process)
        return process

    yield begin
    for process in started:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def ports(process: Process) -> dict[str, int]:
    assert process.stdout is not None
    line: dict[str, Any] = msgspec.json.decode(await asyncio.wait_for(process.stdout.readline(), 30))
    assert line["ready"] is True
    return dict(line["ports"])


async def test_it_tells_the_ports_that_it_really_bound(run: Run, http: aiohttp.ClientSession) -> None:
    bound = await ports(await run())

    assert set(bound) == {"email", "sms", "push", "webhook", "smtp"}
    for name in ("email", "sms", "push", "webhook"):
        async with http.get(f"http://127.0.0.1:{bound[name]}/health") as answer:
            assert answer.status == 200
    reader, writer = await asyncio.open_connection("127.0.0.1", bound["smtp"])
    assert (await reader.readline()).startswith(b"220 ")
    writer.close()
    await writer.wait_closed()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_it_ends_at_once_though_a_request_hangs(run: Run, http: aiohttp.ClientSession, number: int) -> None:
    process = await run()
    url = f"http://127.0.0.1:{(await ports(process))['email']}"
    async with http.post(f"{url}/faults", data=b'{"action": {"kind": "hang"}}') as answer:
        assert answer.status == 201
    body = {"delivery_id": "d1", "channel": "EMAIL", "to": "a", "body": "b"}
    hanging = asyncio.ensure_future(http.post(f"{url}/send", json=body, headers={"Idempotency-Key": "d1"}))
    async with asyncio.timeout(10):
        while True:
            async with http.get(f"{url}/attempts") as answer:
                if await answer.json():
                    break
    process.send_signal(number)
    _, errors = await asyncio.wait_for(process.communicate(), 5)

    assert process.returncode == 0
    assert errors == b""
    with pytest.raises(aiohttp.ClientError):
        await hanging


@pytest.mark.parametrize("name", NAMES)
async def test_a_port_in_use_is_named_with_its_variable(run: Run, name: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        process = await run(**{f"SIMULATOR_{name}_PORT": str(port)})
        out, errors = await asyncio.wait_for(process.communicate(), 30)

    assert process.returncode == 2
    assert out == b""
    expected = f"simulator: port {port} on 127.0.0.1 is in use; choose another with SIMULATOR_{name}_PORT\n"
    assert errors.decode() == expected


@pytest.mark.parametrize(
    ("variable", "value"),
    [("SIMULATOR_SMS_PORT", "many"), ("SIMULATOR_SMS_PORT", "65536"), ("SIMULATOR_LEDGER", "/nowhere/at/all.jsonl")],
)
async def test_a_bad_setting_is_named(run: Run, variable: str, value: str) -> None:
    process = await run(**{variable: value})
    _, errors = await asyncio.wait_for(process.communicate(), 30)

    assert process.returncode == 2
    assert errors.decode().startswith(f"simulator: {variable}: ")
    assert errors.count(b"\n") == 1
