"""The simulator as a whole: five listeners over one world, in one event loop. Knows how they start and stop."""

import errno
from typing import Self

from aiohttp import web
from aiohttp.typedefs import Handler

from deploy.simulator.control import Control
from deploy.simulator.dialects import DIALECTS
from deploy.simulator.faults import Faults
from deploy.simulator.inbox import Inbox
from deploy.simulator.intake import Intake
from deploy.simulator.page import Page
from deploy.simulator.problems import Refused, problem
from deploy.simulator.receipts import Receipts
from deploy.simulator.settings import Settings
from deploy.simulator.smtp import SmtpServer
from deploy.simulator.world import World

_GRACE_SECONDS = 0.2  # for handlers that are just writing their answer
_BACKLOG = 1024


class PortInUse(Exception):
    """A port that cannot be had; the message names the variable that changes it."""

    def __init__(self, host: str, port: int, name: str, why: str) -> None:
        super().__init__(f"port {port} on {host} {why}; choose another with SIMULATOR_{name.upper()}_PORT")
        self.port, self.name = port, name


class Simulator:
    """`async with Simulator(settings) as sim:`, then `sim.url("email")`, `sim.inbox`, `sim.faults`. Runs once."""

    def __init__(self, settings: Settings | None = None) -> None:
        self.settings = settings or Settings()
        self.ports: dict[str, int] = {}
        self.world = World(self.settings)
        self._runners: list[web.AppRunner] = []
        self._smtp = SmtpServer(self.world)
        self._receipts = Receipts(self.world)

    @property
    def inbox(self) -> Inbox:
        """What arrived."""
        return self.world.inbox

    @property
    def faults(self) -> Faults:
        """The rules in force."""
        return self.world.faults

    def url(self, name: str) -> str:
        """The base URL of "email", "sms", "push" or "webhook", without a slash at its end; of "smtp" too."""
        scheme = "smtp" if name == "smtp" else "http"
        host = self.settings.host
        host = f"[{host}]" if ":" in host else host
        return f"{scheme}://{host}:{self.ports[name]}"

    async def __aenter__(self) -> Self:
        """Listen on all ports or on none. Raises `PortInUse`, or OSError for the ledger's file."""
        try:
            self.world.open_ledger()
            await self._receipts.start()
            for name in DIALECTS:
                self.ports[name] = await self._listen_http(name, getattr(self.settings, f"{name}_port"))
            self.ports["smtp"] = await self._listen_smtp(self.settings.smtp_port)
        except BaseException:
            await self._stop()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stop()

    async def _stop(self) -> None:
        """In well under a second, whatever hangs."""
        self.world.close()
        await self._smtp.stop()
        for runner in self._runners:
            await runner.cleanup()
        await self._receipts.stop()
        if self.world.ledger is not None:
            await self.world.ledger.close()

    async def _listen_http(self, name: str, port: int) -> int:
        runner = web.AppRunner(self._application(name), access_log=None, shutdown_timeout=_GRACE_SECONDS)
        self._runners.append(runner)
        await runner.setup()
        site = web.TCPSite(runner, self.settings.host, port, backlog=_BACKLOG)
        try:
            await site.start()
        except OSError as error:
            raise _unavailable(self.settings.host, port, name, error) from None
        return int(runner.addresses[0][1])

    async def _listen_smtp(self, port: int) -> int:
        try:
            return await self._smtp.start(self.settings.host, port)
        except OSError as error:
            raise _unavailable(self.settings.host, port, "smtp", error) from None

    def _application(self, name: str) -> web.Application:
        app = web.Application(client_max_size=self.settings.max_body_bytes, middlewares=[_problems])
        for dialect in DIALECTS[name]:
            app.router.add_post(dialect.path, Intake(dialect, self.world).handle)
        control = Control(self.world, self._receipts)
        app.router.add_routes([*control.routes(), *Page(self.world).routes()])
        if name == "webhook":
            app.router.add_routes(control.hook_routes())
        if name == "push":
            app.router.add_routes(control.push_routes())
        return app


def _unavailable(host: str, port: int, name: str, error: OSError) -> PortInUse:
    why = "is in use" if error.errno == errno.EADDRINUSE else f"cannot be listened on ({error.strerror or error})"
    return PortInUse(host, port, name, why)


@web.middleware
async def _problems(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn refusals, of ours and of aiohttp's router, into problem+json."""
    try:
        return await handler(request)
    except Refused as refused:
        body = problem(refused.status, refused.message, refused.field)
        return web.Response(status=refused.status, body=body, content_type="application/problem+json")
    except web.HTTPException as refused:
        headers = {"Allow": refused.headers["Allow"]} if "Allow" in refused.headers else None
        body = problem(refused.status, f"{request.method} {request.path}: {refused.reason}")
        return web.Response(status=refused.status, body=body, content_type="application/problem+json", headers=headers)
