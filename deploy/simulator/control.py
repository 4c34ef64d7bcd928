"""The controls, the same on every HTTP port: messages, attempts, faults, receipts, secrets. Knows no sender."""

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import msgspec
from aiohttp import web
from msgspec import Struct

from deploy.simulator.dialects.fcm import grant
from deploy.simulator.faults import read_rule, shown
from deploy.simulator.intake import respond
from deploy.simulator.problems import Refused, decode
from deploy.simulator.receipts import Receipts
from deploy.simulator.records import Attempt, Message, nanoseconds
from deploy.simulator.world import World

T = TypeVar("T", Message, Attempt)
_CHANNELS = frozenset({"EMAIL", "SMS", "PUSH", "WEBHOOK"})
_FILTERS = frozenset({"to", "channel", "delivery_id", "key", "since", "limit"})


class _Secret(Struct, forbid_unknown_fields=True):
    secret: str


_SECRET = msgspec.json.Decoder(_Secret)


class Control:
    """Handlers over one world."""

    def __init__(self, world: World, receipts: Receipts) -> None:
        self._world = world
        self._receipts = receipts

    def routes(self) -> list[web.RouteDef]:
        """The table of what can be asked."""
        return [
            web.get("/health", self.health),
            web.get("/counts", self.counts),
            web.get("/messages", self.messages),
            web.delete("/messages", self.clear),
            web.get("/attempts", self.attempts),
            web.post("/faults", self.add_fault),
            web.get("/faults", self.list_faults),
            web.delete("/faults", self.clear_faults),
            web.delete("/faults/{id}", self.remove_fault),
            web.post("/receipts", self.send_receipt),
        ]

    def hook_routes(self) -> list[web.RouteDef]:
        """What only the webhook port has."""
        return [
            web.put("/hooks/{name}/secret", self.guard_hook),
            web.delete("/hooks/{name}/secret", self.open_hook),
        ]

    def push_routes(self) -> list[web.RouteDef]:
        """What only the push port has."""
        return [web.post("/token", self.token)]

    async def health(self, request: web.Request) -> web.Response:
        return json({"status": "ok"})

    async def counts(self, request: web.Request) -> web.Response:
        """Totals since the start or the last clear."""
        return json(self._world.inbox.totals)

    async def messages(self, request: web.Request) -> web.Response:
        """What arrived, newest last."""
        return json(choose_records(self._world.inbox.messages, request.query))

    async def attempts(self, request: web.Request) -> web.Response:
        """Every request, newest last."""
        return json(choose_records(self._world.inbox.attempts, request.query))

    async def clear(self, request: web.Request) -> web.Response:
        """Forget messages, attempts and keys; faults and secrets stay."""
        self._world.inbox.clear()
        return web.Response(status=204)

    async def add_fault(self, request: web.Request) -> web.Response:
        armed = self._world.faults.add(read_rule(await request.read()))
        self._world.inbox.wake()  # the page shows the faults too
        return json(shown(armed), 201)

    async def list_faults(self, request: web.Request) -> web.Response:
        return json(self._world.faults.listed())

    async def clear_faults(self, request: web.Request) -> web.Response:
        self._world.faults.clear()
        self._world.inbox.wake()
        return web.Response(status=204)

    async def remove_fault(self, request: web.Request) -> web.Response:
        rule_id = request.match_info["id"]
        if not self._world.faults.remove(rule_id):
            raise Refused(404, f"there is no fault {rule_id}")
        self._world.inbox.wake()
        return web.Response(status=204)

    async def send_receipt(self, request: web.Request) -> web.Response:
        return json(await self._receipts.send_wanted(await request.read()))

    async def guard_hook(self, request: web.Request) -> web.Response:
        wanted = decode(_SECRET.decode, await request.read())
        self._world.access.guard_hook(request.match_info["name"], wanted.secret)
        return web.Response(status=204)

    async def open_hook(self, request: web.Request) -> web.Response:
        self._world.access.open_hook(request.match_info["name"])
        return web.Response(status=204)

    async def token(self, request: web.Request) -> web.Response:
        return respond(grant(await request.read(), self._world.access))


def choose_records(records: list[T], query: Any) -> list[T]:
    """Those that fit all filters; raise `Refused(400)` that names a filter which is unknown or cannot be read.

    `since` keeps what is later than that moment (RFC 3339 or epoch nanoseconds), `limit` the newest so many.
    """
    for name in query:
        if name not in _FILTERS:
            raise Refused(400, f"not a filter; there are {', '.join(sorted(_FILTERS))}", name)
    chosen: Iterable[T] = records
    for name, test in _tests(query):
        chosen = [record for record in chosen if test(record, name)]
    chosen = list(chosen)
    if "limit" in query:
        limit = _number(query["limit"])
        chosen = chosen[-limit:] if limit else []
    return chosen


def _tests(query: Any) -> Iterable[tuple[str, Callable[[Any, str], bool]]]:
    """The value wanted, and how a record is held against it."""
    if "since" in query:
        after = _moment(query["since"])
        yield "", lambda record, _: record.at_ns > after
    if "channel" in query:
        channel = query["channel"].upper()
        if channel not in _CHANNELS:
            raise Refused(400, f"expected one of {', '.join(sorted(_CHANNELS))}", "channel")
        yield channel, lambda record, wanted: record.channel == wanted
    if "to" in query:
        yield query["to"], lambda record, wanted: wanted in (record.to or "").split(", ")
    if "delivery_id" in query:
        yield query["delivery_id"], lambda record, wanted: record.delivery_id == wanted
    if "key" in query:
        yield query["key"], lambda record, wanted: record.idempotency_key == wanted


def _moment(text: str) -> int:
    try:
        return nanoseconds(text.replace(" ", "+"))  # a plus sign that a URL turned into a space
    except (ValueError, OverflowError):
        raise Refused(400, "expected an RFC 3339 time with its zone, or epoch nanoseconds", "since") from None


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 9):
        raise Refused(400, "expected a whole number", "limit")
    return int(text)


def json(body: Any, status: int = 200) -> web.Response:
    """An answer in JSON."""
    return web.Response(status=status, body=msgspec.json.encode(body), content_type="application/json")
