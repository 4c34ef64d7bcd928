"""The API's composition root: which controllers there are, what they stand on, and what runs beside them."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from litestar import Litestar
from litestar.config.cors import CORSConfig

from libs.common.background import beside
from libs.common.observability.metrics import Metrics
from services.api.controllers.deliveries import DeliveriesController
from services.api.controllers.events import EventsController
from services.api.controllers.notifications import NotificationsController
from services.api.controllers.operations import OperationsController
from services.api.controllers.people import PersonController, PublicController
from services.api.controllers.subscribers import SubscribersController
from services.api.controllers.subscriptions import SubscriptionsController
from services.api.controllers.suppressions import SuppressionsController
from services.api.controllers.templates import NewerTemplatesController, TemplatesController
from services.api.controllers.unsubscribing import UnsubscribingController
from services.api.controllers.users import UsersController
from services.api.documentation import AssetsController, openapi
from services.api.errors import HANDLERS
from services.api.limiting.middleware import CountAddresses
from services.api.middleware import BodyAndDeadline, RequestLog
from services.api.outside import open_outside
from services.api.ports import Outside
from services.api.settings import ApiSettings
from services.api.strict_request import StrictRequest
from services.api.wiring import NAMES, Dice, dependencies, wire

CONTROLLERS = (
    PublicController,
    PersonController,
    UnsubscribingController,
    NotificationsController,
    SubscriptionsController,
    SubscribersController,
    UsersController,
    EventsController,
    TemplatesController,
    NewerTemplatesController,
    SuppressionsController,
    DeliveriesController,
    OperationsController,
    AssetsController,
)
MAX_BODY_BYTES = 256 * 1024
"""Of every request whose route does not say otherwise."""

_HEADERS = {"X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY"}
"""Nobody guesses what an answer is, or shows our pages in theirs."""
Opener = Callable[[ApiSettings], AbstractAsyncContextManager[Outside]]


def create_app(settings: ApiSettings, opener: Opener = open_outside, dice: Dice | None = None) -> Litestar:
    """The application; `opener` gives what it stands on, `dice` its time and chance."""
    metrics = Metrics()
    given = dice or Dice()

    @asynccontextmanager
    async def lifespan(app: Litestar) -> AsyncIterator[None]:
        async with opener(settings) as outside:
            parts = wire(settings, outside, metrics, given)
            for name in NAMES:
                setattr(app.state, name, getattr(parts, name))
            async with beside(parts.outbox.sweep_forever(given.clock, settings.outbox_interval), name="outbox"):
                yield

    app = Litestar(
        route_handlers=CONTROLLERS,
        lifespan=[lifespan],
        dependencies=dependencies(),
        exception_handlers=HANDLERS,
        middleware=[CountAddresses(), BodyAndDeadline(settings.request_deadline)],
        request_class=StrictRequest,
        request_max_body_size=MAX_BODY_BYTES,
        response_headers=_HEADERS,
        cors_config=_cors(settings),
        openapi_config=openapi(),
        logging_config=None,
    )
    app.asgi_handler = RequestLog(app.asgi_handler, metrics)
    return app


def _cors(settings: ApiSettings) -> CORSConfig | None:
    if not settings.cors_origins:
        return None
    return CORSConfig(
        allow_origins=list(settings.cors_origins),
        allow_methods=["GET", "POST", "PUT", "PATCH", "DELETE"],
        allow_headers=["Authorization", "Content-Type", "Idempotency-Key", "X-API-Key", "traceparent"],
        # Credentials are headers that a script must set itself; cookies have no meaning here.
        allow_credentials=False,
        expose_headers=["Location", "Retry-After", "RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset"],
    )
