"""How the body of a request is decoded before the framework makes of it what a controller wants. Knows no route."""

from typing import Any

from litestar.connection import Request

from libs.common.domain.json_text import decode_json


class StrictRequest(Request[Any, Any, Any]):
    """A request whose JSON is refused when it has no one meaning; the framework's would take the last of two keys."""

    async def json(self) -> Any:
        """The body, decoded. Raises InvalidInput."""
        return decode_json(await self.body() or b"null")
