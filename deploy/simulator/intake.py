"""The way of a message over HTTP: note it, read it, meet a fault or be accepted. Refuses to know any one protocol."""

import hashlib
import time

from aiohttp import web

from deploy.simulator.dialects.dialect import Call, Dialect, Reply
from deploy.simulator.http_faults import PERFORM, Exchange
from deploy.simulator.problems import Refused
from deploy.simulator.rules import Facts, kind_of
from deploy.simulator.world import World


class Intake:
    """The handler of one dialect's path."""

    def __init__(self, dialect: Dialect, world: World) -> None:
        self._dialect = dialect
        self._world = world

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer a sender. Whatever it sends, the attempt is noted before anything is done about it."""
        dialect, world = self._dialect, self._world
        at_ns = time.time_ns()
        oversize = False
        try:
            raw = await request.read()
        except web.HTTPRequestEntityTooLarge:
            raw, oversize = b"", True
        call = Call(request.headers, request.match_info, raw)
        key = request.headers.get(dialect.key_header)
        digest = hashlib.sha256(raw).hexdigest()
        attempt = world.arrive(dialect.channel, dialect.protocol, at_ns, sha256=digest, key=key)
        try:
            if oversize:
                raise Refused(413, f"more than {world.settings.max_body_bytes} bytes")
            sent = dialect.read(call, world.access)
        except Refused as refused:
            attempt.verification, attempt.reason = refused.verification, refused.message
            await world.settle(attempt, "reject", refused.status)
            return respond(dialect.refused(refused.status, refused.message, refused.field))
        sent.size = len(raw)
        attempt.to, attempt.delivery_id, attempt.verification = ", ".join(sent.to), sent.delivery_id, sent.verification

        exchange = Exchange(request, dialect, call, sent, attempt, world)
        verdict = world.faults.judge(Facts(dialect.channel, sent.to))
        if verdict is not None:
            if verdict.delay:
                await world.pause(verdict.delay)
            if verdict.armed is not None:
                action = verdict.armed.rule.action
                attempt.fault, attempt.fault_kind = verdict.armed.id, kind_of(action)
                return await PERFORM[type(action)](exchange, action)
        reply = exchange.accept()
        await world.settle(attempt, "accept", reply.status)
        return respond(reply)


def respond(reply: Reply) -> web.Response:
    """An answer as aiohttp sends it."""
    return web.Response(status=reply.status, body=reply.body, content_type=reply.type, headers=reply.headers or None)
