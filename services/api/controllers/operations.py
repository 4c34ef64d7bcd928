"""Whether the API lives, is ready, and what it counts. Says that something is away, never what a driver said of it."""

from typing import Any

from litestar import Controller, Response, get
from litestar.response import Redirect
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from libs.common.observability.probes import Check, run_checks
from services.api.given import GivenChecks, GivenMetrics
from services.api.limiting.middleware import FREE


class OperationsController(Controller):
    """For operators and their machines."""

    tags = ("operations",)

    @get("/", include_in_schema=False)
    async def start(self) -> Redirect:
        """Whoever opens the address alone wants to know what there is."""
        return Redirect("/docs")

    @get("/health", summary="State of Kafka and MongoDB")
    async def health(self, checks: GivenChecks) -> dict[str, str]:
        """Always 200: the answer is in the body. For machines there is `/readyz`."""
        passed, states = await _states(checks)
        return {"status": "ok" if passed else "degraded", **states}

    @get("/livez", opt={FREE: True}, summary="The process runs")
    async def live(self) -> dict[str, str]:
        """Asks nobody: restarting the API would not bring Kafka back."""
        return {"status": "ok"}

    @get("/readyz", opt={FREE: True}, summary="Everything needed is there")
    async def ready(self, checks: GivenChecks) -> Response[dict[str, Any]]:
        """503 while Kafka or MongoDB is away."""
        passed, states = await _states(checks)
        return Response(
            {"status": "ready" if passed else "not ready", "checks": states}, status_code=200 if passed else 503
        )

    @get("/metrics", opt={FREE: True}, include_in_schema=False)
    async def metrics(self, metrics: GivenMetrics) -> Response[bytes]:
        """Prometheus."""
        return Response(generate_latest(metrics.registry), media_type=CONTENT_TYPE_LATEST)


async def _states(checks: dict[str, Check]) -> tuple[bool, dict[str, str]]:
    passed, said = await run_checks(checks)
    return passed, {name: "ok" if what == "ok" else "unavailable" for name, what in said.items()}
