"""Whether a receipt comes from a provider of ours: by the token that both know. Without a token set, receipts are not
taken at all, but for a developer's machine."""

from hmac import compare_digest

from litestar.handlers import BaseRouteHandler

from services.api.errors import Unauthorized
from services.api.security.access import Connection
from services.api.settings import ApiSettings

HEADER = "X-Provider-Token"


async def require_provider(connection: Connection, _handler: BaseRouteHandler) -> None:
    """Guard: only with the providers' token, compared in constant time."""
    settings: ApiSettings = connection.app.state.settings
    expected = settings.provider_callback_token
    if not expected:
        if settings.is_dev:
            return
        raise Unauthorized("No receipts are taken here.")
    given = connection.headers.getall(HEADER, [])
    if len(given) != 1 or not compare_digest(given[0].encode(), expected.encode()):
        raise Unauthorized
