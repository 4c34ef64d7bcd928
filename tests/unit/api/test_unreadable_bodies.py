"""A body that the framework reads, and cannot, is told as any other: 400, with the place."""

from typing import Any

import pytest
from structlog.testing import capture_logs

World = Any


@pytest.mark.parametrize("path", ["/subscribe", "/notifications", "/users"])
@pytest.mark.parametrize(
    "body", [b'{"email":"\xff"}', b'{"a":NaN}', b'{"a":1e400}', b"{", b"[" * 100_000], ids=lambda body: str(body[:12])
)
async def test_what_is_no_json_is_refused_with_its_place(world: World, path: str, body: bytes) -> None:
    """Bytes that are not UTF-8 were answered with 500 once."""
    answer = await world.client.post(path, content=body, headers={**world.key, "Content-Type": "application/json"})

    assert answer.status_code == 400, answer.text
    assert answer.json()["errors"][0]["pointer"] == "body"


async def test_a_key_that_is_given_twice_is_refused_with_its_place(world: World) -> None:
    """The later one counted, in silence: a no could be taken for a yes."""
    body = b'{"email": "ann@example.com", "password": "a long password", "subscribed": false, "subscribed": true}'

    answer = await world.client.post("/subscribe", content=body, headers={"Content-Type": "application/json"})

    assert answer.status_code == 400, answer.text
    assert answer.json()["errors"] == [{"pointer": "subscribed", "message": "is given twice"}]


async def test_a_caller_who_hangs_up_in_the_middle_of_a_body_is_no_defect_of_ours(world: World) -> None:
    """It was logged as an error with a traceback and counted as a 500: anybody could ring the alarm."""
    messages = iter([{"type": "http.request", "body": b"{", "more_body": True}, {"type": "http.disconnect"}])
    said: list[Any] = []

    async def receive() -> Any:
        return next(messages)

    async def send(message: Any) -> None:
        said.append(message)

    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "path": "/subscribe",
        "raw_path": b"/subscribe",
        "query_string": b"",
        "root_path": "",
        "scheme": "http",
        "headers": [(b"content-type", b"application/json"), (b"content-length", b"100")],
        "client": ("127.0.0.1", 4000),
        "server": ("api", 80),
    }
    with capture_logs() as lines:
        await world.client.app(scope, receive, send)

    assert said[0]["status"] == 400
    assert [line["event"] for line in lines if line["log_level"] in ("error", "critical")] == []
