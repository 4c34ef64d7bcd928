"""Receipts, as Sigmora's API would see them."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
from aiohttp import web


class Api:
    """The end that receipts come back to."""

    def __init__(self) -> None:
        self.url = ""
        self.got: list[tuple[str, str | None, dict[str, Any]]] = []
        self.answers: list[int] = []
        self.changed = asyncio.Event()

    async def receive(self, request: web.Request) -> web.Response:
        self.got.append((request.path, request.headers.get("X-Provider-Token"), await request.json()))
        self.changed.set()
        return web.Response(status=self.answers.pop(0) if self.answers else 200)


@pytest.fixture
async def api() -> AsyncIterator[Api]:
    api = Api()
    app = web.Application()
    app.router.add_post("/notifications/{id}/receipt", api.receive)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    api.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield api
    await runner.cleanup()


async def deliver(sim: Any, http: Any, delivery_id: str = "d1", **metadata: str) -> str:
    body = {"delivery_id": delivery_id, "channel": "SMS", "to": "+491", "body": "x", "metadata": metadata}
    async with http.post(f"{sim.url('sms')}/send", json=body, headers={"Idempotency-Key": delivery_id}) as answer:
        return str((await answer.json())["provider_message_id"])


@pytest.mark.parametrize("by", ["delivery_id", "message_id"])
async def test_a_receipt_reaches_the_notification(start: Any, http: Any, api: Api, by: str) -> None:
    sim = await start(callback_base_url=api.url, callback_token="t0ken")
    message_id = await deliver(sim, http, notification_id="n1")
    wanted = {by: {"delivery_id": "d1", "message_id": message_id}[by], "status": "BOUNCED", "reason": "mailbox full"}
    async with http.post(f"{sim.url('email')}/receipts", json=wanted) as answer:
        told = await answer.json()

    assert (answer.status, told) == (200, {"url": f"{api.url}/notifications/n1/receipt", "status": 200})
    receipt = {"channel": "SMS", "status": "BOUNCED", "provider_message_id": message_id, "reason": "mailbox full"}
    assert api.got == [("/notifications/n1/receipt", "t0ken", receipt)]


@pytest.mark.parametrize(
    ("wanted", "status", "field"),
    [
        ({"status": "DELIVERED"}, 400, "delivery_id"),
        ({"delivery_id": "d1", "status": "EATEN"}, 400, "status"),
        ({"delivery_id": "d1"}, 400, "status"),
        ({"delivery_id": "nobody", "status": "DELIVERED"}, 404, None),
        ({"delivery_id": "d1", "status": "DELIVERED"}, 409, None),  # it came without a notification id
        ({"delivery_id": "d2", "status": "DELIVERED"}, 502, None),  # nobody listens
    ],
)
async def test_a_receipt_that_cannot_be_sent_says_why(
    start: Any, http: Any, wanted: dict[str, str], status: int, field: str | None
) -> None:
    sim = await start(callback_base_url="http://127.0.0.1:1")
    await deliver(sim, http, "d1")
    await deliver(sim, http, "d2", notification_id="n2")
    async with http.post(f"{sim.url('email')}/receipts", json=wanted) as answer:
        problem = await answer.json(content_type="application/problem+json")

    assert answer.status == status
    assert [error["field"] for error in problem.get("errors", [])] == ([field] if field else [])


async def test_receipts_go_out_by_themselves_once_per_message(start: Any, http: Any, api: Api) -> None:
    """A repeated attempt is no new message, and a receipt that met a 5xx is sent again."""
    api.answers = [503]
    sim = await start(callback_base_url=api.url, auto_receipts=True, auto_receipts_delay_ms=0)
    await deliver(sim, http, "d1", notification_id="n1")
    await deliver(sim, http, "d1", notification_id="n1")
    await deliver(sim, http, "d2")
    await deliver(sim, http, "d3", notification_id="n3")
    async with asyncio.timeout(timedelta(seconds=10).total_seconds()):
        while len(api.got) < 3:
            await api.changed.wait()
            api.changed.clear()

    assert sorted(path for path, _, _ in api.got) in (
        ["/notifications/n1/receipt", "/notifications/n1/receipt", "/notifications/n3/receipt"],
        ["/notifications/n1/receipt", "/notifications/n3/receipt", "/notifications/n3/receipt"],
    )
    assert {receipt["status"] for _, _, receipt in api.got} == {"DELIVERED"}
