"""Receipts: the simulator calls Sigmora back and says what became of a message. Refuses to know who asked for it."""

import asyncio
import time
from typing import Annotated, Any, Literal
from urllib.parse import quote

import aiohttp
import msgspec
from msgspec import Meta, Struct

from deploy.simulator.problems import Refused, decode
from deploy.simulator.records import Message
from deploy.simulator.world import World

_WORKERS = 8
_TRIES = 3
_MOST_WAITING = 50_000


class _Wanted(Struct, forbid_unknown_fields=True):
    status: Literal["DELIVERED", "BOUNCED", "COMPLAINED"]
    delivery_id: Annotated[str, Meta(min_length=1)] | None = None
    message_id: Annotated[str, Meta(min_length=1)] | None = None
    reason: str | None = None


_WANTED = msgspec.json.Decoder(_Wanted)


class Receipts:
    """Sends them on demand, and by itself where the settings say so."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._http: aiohttp.ClientSession | None = None
        self._due: asyncio.Queue[tuple[float, Message]] = asyncio.Queue(_MOST_WAITING)
        self._workers: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Make ready to call."""
        timeout = aiohttp.ClientTimeout(total=self._world.settings.callback_timeout_seconds)
        self._http = aiohttp.ClientSession(timeout=timeout, trust_env=False)
        if self._world.settings.auto_receipts:
            self._world.on_effect = self._plan
            self._workers = [asyncio.create_task(self._work()) for _ in range(_WORKERS)]

    async def stop(self) -> None:
        """Let go of what is still planned."""
        for worker in self._workers:
            worker.cancel()
        await asyncio.gather(*self._workers, return_exceptions=True)
        if self._http is not None:
            await self._http.close()

    async def send_wanted(self, raw: bytes) -> dict[str, Any]:
        """Read an order and carry it out; returns {url, status}. Raises `Refused`: 400, 404, 409, or 502."""
        wanted = decode(_WANTED.decode, raw)
        name = wanted.delivery_id or wanted.message_id
        if name is None:
            raise Refused(400, "this or message_id is needed", "delivery_id")
        message = self._world.inbox.find(name)
        if message is None:
            raise Refused(404, f"no message {name} is known")
        if not _notification(message):
            raise Refused(409, "the message came without metadata.notification_id, so there is nobody to tell")
        try:
            return await self.call(message, wanted.status, wanted.reason)
        except (aiohttp.ClientError, TimeoutError) as error:
            raise Refused(502, f"the receipt did not arrive: {type(error).__name__}") from None

    async def call(self, message: Message, status: str, reason: str | None = None) -> dict[str, Any]:
        """Post one receipt. Raises aiohttp.ClientError or TimeoutError."""
        if self._http is None:
            raise RuntimeError("start() comes first")
        settings = self._world.settings
        url = f"{settings.callback_base_url.rstrip('/')}/notifications/{quote(_notification(message), safe='')}/receipt"
        receipt = {"channel": message.channel, "status": status, "provider_message_id": message.id}
        if reason is not None:
            receipt["reason"] = reason
        headers = {"X-Provider-Token": settings.callback_token.get_secret_value()}
        async with self._http.post(url, json=receipt, headers=headers, allow_redirects=False) as answer:
            return {"url": url, "status": answer.status}

    def _plan(self, message: Message) -> None:
        if _notification(message) and not self._due.full():
            due = time.monotonic() + self._world.settings.auto_receipts_delay_ms / 1000
            self._due.put_nowait((due, message))

    async def _work(self) -> None:
        while True:
            due, message = await self._due.get()
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            for again_in in range(1, _TRIES + 1):
                try:
                    answer = await self.call(message, "DELIVERED")
                except (aiohttp.ClientError, TimeoutError):
                    answer = {"status": 503}
                if answer["status"] < 500:
                    break
                await asyncio.sleep(again_in)


def _notification(message: Message) -> str:
    """The id that Sigmora put into the metadata, or ""."""
    found = message.metadata.get("notification_id")
    return found if isinstance(found, str) else ""
