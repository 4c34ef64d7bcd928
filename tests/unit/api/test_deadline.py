"""A body that never comes is not waited for."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from libs.common.domain.errors import Unavailable
from services.api.errors import TooSlow
from services.api.middleware import BodyAndDeadline


@pytest.mark.parametrize(
    ("headers", "body_comes", "error"),
    [
        ([(b"content-length", b"10")], False, TooSlow),
        ([(b"content-length", b"10")], True, Unavailable),
        ([], False, Unavailable),
    ],
)
async def test_who_was_slow_is_told_apart(headers: Any, body_comes: bool, error: type[Exception]) -> None:
    async def receive() -> Any:
        if body_comes:
            return {"type": "http.request", "body": b"0123456789", "more_body": False}
        return await asyncio.Event().wait()

    async def send(_message: Any) -> None:
        raise AssertionError("nothing was to be sent")

    async def app(_scope: Any, receive: Any, _send: Any) -> None:
        await receive()
        await asyncio.Event().wait()

    scope: Any = {"type": "http", "headers": headers}
    with pytest.raises(error):
        await BodyAndDeadline(timedelta(milliseconds=10)).handle(scope, receive, send, app)
