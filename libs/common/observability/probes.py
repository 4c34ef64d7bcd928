"""The HTTP side of a consumer process: `/livez` (the process runs), `/readyz` (what it needs is there and it makes
progress), `/metrics`. Plain ASGI, so that FastStream's application can serve it."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec
from faststream.asgi import AsgiResponse, get
from prometheus_client import make_asgi_app

from libs.common.domain.errors import SigmoraError
from libs.common.observability.metrics import Metrics

Check = Callable[[], Awaitable[object]]
"""Raises when the thing is not ready; what it returns is shown."""

_PATIENCE = 2.0
"""Seconds a check may take before it counts as failed."""


async def run_checks(checks: Mapping[str, Check]) -> tuple[bool, dict[str, object]]:
    """Runs all checks at once: whether every one passed, and what each said."""

    async def one(check: Check) -> tuple[bool, object]:
        try:
            async with asyncio.timeout(_PATIENCE):
                return True, await check() or "ok"
        except (SigmoraError, TimeoutError, OSError) as error:
            return False, str(error) or type(error).__name__

    results = await asyncio.gather(*(one(check) for check in checks.values()))
    return all(passed for passed, _ in results), dict(zip(checks, (said for _, said in results), strict=True))


def probe_routes(checks: Mapping[str, Check], metrics: Metrics) -> list[tuple[str, Any]]:
    """Routes for `AsgiFastStream(asgi_routes=…)`."""

    @get
    async def live(_scope: Any) -> AsgiResponse:
        return AsgiResponse(b'{"status":"ok"}', 200, {"content-type": "application/json"})

    @get
    async def ready(_scope: Any) -> AsgiResponse:
        passed, said = await run_checks(checks)
        body = msgspec.json.encode({"status": "ready" if passed else "not ready", "checks": said})
        return AsgiResponse(body, 200 if passed else 503, {"content-type": "application/json"})

    return [("/livez", live), ("/readyz", ready), ("/metrics", make_asgi_app(metrics.registry))]
