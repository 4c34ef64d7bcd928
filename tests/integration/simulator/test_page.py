"""The page and its live stream."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import msgspec
import pytest

from deploy.simulator import Simulator


@asynccontextmanager
async def news(sim: Simulator, http: aiohttp.ClientSession) -> AsyncIterator[Any]:
    """A way to await the next event of the stream."""
    async with http.get(f"{sim.url('push')}/stream") as stream:
        assert stream.content_type == "text/event-stream"

        async def following() -> Any:
            assert await stream.content.readline() == b"event: news\n"
            data = await stream.content.readline()
            assert await stream.content.readline() == b"\n"
            return msgspec.json.decode(data.removeprefix(b"data: "))

        yield following
        stream.close()


@pytest.mark.parametrize("name", ["email", "sms", "push", "webhook"])
async def test_the_page_needs_nothing_from_elsewhere(sim: Simulator, http: Any, name: str) -> None:
    for path, kind in (("/", "text/html"), ("/page.js", "text/javascript"), ("/page.css", "text/css")):
        async with http.get(sim.url(name) + path) as answer:
            text = await answer.text()

            assert (answer.status, answer.content_type) == (200, kind)
            assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
            assert "://" not in text.replace("<!doctype", "")
            assert "innerHTML" not in text


async def test_messages_are_told_as_they_arrive(sim: Simulator, http: Any, send: Any) -> None:
    await send("d1", subject="<b>first</b>")
    async with news(sim, http) as following:
        first = await following()
        await send("d2", body="x" * 5000)
        second = await following()
        while not second["messages"]:
            second = await following()

    assert [(m["subject"], m["to"], m["attempts"]) for m in first["messages"]] == [
        ("<b>first</b>", "ann@example.com", 1)
    ]
    assert first["counts"] == {"attempts": 1, "accepts": 1, "effects": 1}
    assert len(second["messages"]) == 1
    assert len(second["messages"][0]["body"]) == 500, "the page needs no more of it"


async def test_a_repeat_a_fault_and_a_clear_are_told_too(sim: Simulator, http: Any, send: Any, fault: Any) -> None:
    await send("d1")
    async with news(sim, http) as following:
        event = await following()
        clears = event["clears"]
        await send("d1")
        while not event["messages"] or event["messages"][0]["attempts"] == 1:
            event = await following()
        rule = await fault("hang")
        while not event["faults"]:
            event = await following()

        assert event["faults"][0]["id"] == rule
        await http.delete(f"{sim.url('email')}/messages")
        while event["clears"] == clears:
            event = await following()

    assert event["counts"]["attempts"] == 0
