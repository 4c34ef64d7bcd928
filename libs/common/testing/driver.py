"""Drives a running Sigmora from outside, as people and upstream services do, and looks into the simulator's inbox.
Knows the public API only."""

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import httpx

from libs.common.testing.log_reader import LogReader
from libs.common.topics import Topics

T = TypeVar("T")

PATIENCE = 30.0
"""Seconds for which a condition is awaited: far more than it ever takes, so that only a defect runs into it."""


async def eventually(look: Callable[[], Awaitable[T]], want: Callable[[T], object], patience: float = PATIENCE) -> T:
    """What `look` gives once `want` is true of it; raises AssertionError with the last value when it never is."""
    deadline = time.monotonic() + patience
    while True:
        seen = await look()
        if want(seen):
            return seen
        if time.monotonic() > deadline:
            raise AssertionError(f"still not so after {patience:.0f} s: {seen!r}")
        await asyncio.sleep(0.05)


@dataclass(frozen=True)
class Person:
    """Somebody who subscribed."""

    email: str
    token: str
    http: httpx.AsyncClient

    @property
    def auth(self) -> dict[str, str]:
        """The header that says who asks."""
        return {"Authorization": f"Bearer {self.token}"}

    async def feed(self) -> list[dict[str, Any]]:
        """Their notifications, newest first."""
        answer = await self.http.get("/notifications", headers=self.auth, params={"limit": 100})
        answer.raise_for_status()
        items: list[dict[str, Any]] = answer.json()["items"]
        return items

    async def prefer(self, **preferences: Any) -> None:
        """Replace their preferences."""
        body = {"topic": [], "priority": [], "category": [], "release_time": [], **preferences}
        (await self.http.post("/preferences", json=body, headers=self.auth)).raise_for_status()

    async def unsubscribe(self) -> None:
        """They want nothing any more."""
        (await self.http.post("/unsubscribe", headers=self.auth)).raise_for_status()


class Driver:
    """A user of the platform, who can look at the log and into the simulator."""

    def __init__(
        self, api_url: str, simulator_url: str, router_url: str, api_key: str, log: LogReader, topics: Topics
    ) -> None:
        self._log, self.topics = log, topics
        self.api = httpx.AsyncClient(base_url=api_url, timeout=15)
        self.simulator = httpx.AsyncClient(base_url=simulator_url, timeout=15)
        self.router = httpx.AsyncClient(base_url=router_url, timeout=15)
        self.api_key = api_key
        self._key = {"X-API-Key": api_key}

    async def close(self) -> None:
        """Close the connections."""
        for http in (self.api, self.simulator, self.router):
            await http.aclose()

    async def subscribe(self, **preferences: Any) -> Person:
        """A new person with these preferences, known to the router when this returns."""
        email, password = f"p-{secrets.token_hex(6)}@example.com", "correct horse battery"
        wishes = {"topic": [], "priority": [], "category": [], "release_time": [], **preferences}
        body = {"email": email, "password": password, "subscribed": True, "preferences": wishes}
        (await self.api.post("/subscribe", json=body)).raise_for_status()
        token = await self.api.post("/token", data={"username": email, "password": password})
        token.raise_for_status()
        await self.routed()
        return Person(email, token.json()["access_token"], self.api)

    async def routed(self) -> None:
        """Return once the router has seen every change of a subscriber that is on the log now."""
        ends = await self._log.ends(self.topics.subscriptions)

        async def position() -> Mapping[str, int]:
            try:
                index = (await self.router.get("/readyz")).json()["checks"]["index"]
            except (httpx.HTTPError, ValueError):
                return {}
            return index["position"] if isinstance(index, Mapping) else {}

        await eventually(position, lambda seen: all(seen.get(str(number), -1) >= end for number, end in ends.items()))

    async def emit(self, **event: Any) -> httpx.Response:
        """Send one event; the answer as it is."""
        return await self.api.post("/v1/events", json=event, headers=self._key)

    async def accepted(self, **event: Any) -> str:
        """Send one event that must be accepted; its id."""
        answer = await self.emit(**event)
        assert answer.status_code == httpx.codes.ACCEPTED, answer.text  # noqa: S101 - this module serves tests
        return str(answer.json()["id"])

    async def inbox(self, to: str) -> list[dict[str, Any]]:
        """What arrived at the simulator for an address."""
        return list((await self.simulator.get("/messages", params={"to": to})).json())

    async def attempts(self, to: str) -> list[dict[str, Any]]:
        """Every request that reached the simulator for an address, refused ones too."""
        return list((await self.simulator.get("/attempts", params={"to": to})).json())

    async def arrived(self, to: str, count: int = 1) -> list[dict[str, Any]]:
        """Wait until `count` messages are in an inbox."""

        async def look() -> list[dict[str, Any]]:
            return await self.inbox(to)

        return await eventually(look, lambda messages: len(messages) >= count)

    async def fault(self, **rule: Any) -> None:
        """Tell the simulator to misbehave."""
        (await self.simulator.post("/faults", json=rule)).raise_for_status()

    async def healthy(self) -> None:
        """Tell the simulator to behave."""
        (await self.simulator.delete("/faults")).raise_for_status()
