"""A body that the framework reads, and cannot, is told as any other: 400, with the place."""

from typing import Any

import pytest

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
