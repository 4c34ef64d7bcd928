"""A record that cannot be read goes to `dead-letters` byte for byte, and the next one is handled."""

import secrets
from typing import Any

import pytest

from libs.common.domain.channels import Channel, Lane
from libs.common.ports import Received
from libs.common.testing.driver import Driver, eventually
from libs.common.testing.log_reader import LogReader, origin_of
from libs.common.topics import Topics

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("e2e")]

KEY = b"key"
BROKEN: dict[str, tuple[bytes | None, bytes | None, list[tuple[str, bytes | None]]]] = {
    "not JSON": (KEY, b"{nope", []),
    "not UTF-8": (KEY, b"\xff\xfe\x00", []),
    "another schema": (KEY, b'{"specversion": "9.9", "what": 1}', []),
    "a JSON array": (KEY, b"[]", []),
    "a tombstone": (KEY, None, []),
    "nothing at all": (None, None, []),
    "an empty value": (KEY, b"", []),
    "a header without a value": (KEY, b"{nope", [("h", None)]),
    "a header that is not UTF-8": (KEY, b"{nope", [("h", b"\xff\xfe")]),
    "a header with a name that is not UTF-8": (KEY, b"{nope", [("h\udcff\udcfe", b"x")]),
    "a reply address": (KEY, b"{nope", [("reply_to", b"sigmora.status")]),
    "deep nesting": (KEY, b"[" * 100_000, []),
    "a megabyte": (KEY, b"x" * 1_000_000, []),
}


def places(topics: Topics) -> dict[str, str]:
    """Every kind of topic that somebody of ours reads."""
    return {
        "events": topics.events(Lane.BULK),
        "deliveries": topics.deliveries(Channel.EMAIL, Lane.BULK),
        "feed deliveries": topics.deliveries(Channel.INAPP, Lane.STANDARD),
        "retries": topics.retry(Channel.EMAIL, 1),
        "subscriptions": topics.subscriptions,
    }


@pytest.mark.parametrize("place", ["events", "deliveries", "feed deliveries", "retries", "subscriptions"])
async def test_broken_records_are_kept_byte_for_byte_and_passed_over(
    sigmora: Driver, log: LogReader, topics: Topics, place: str
) -> None:
    topic = places(topics)[place]
    marks: dict[str, Any] = {}
    for what, (key, value, headers) in BROKEN.items():
        if place == "subscriptions" and value is None:
            continue  # there it means that somebody was erased
        origin = await log.write(topic, value, key=key, headers=headers)
        marks[origin] = (what, key, value, tuple(headers))

    async def letters() -> dict[str, Received]:
        read = {origin_of(letter): letter for letter in await log.read(topics.dead_letters)}
        return {origin: read[origin] for origin in read.keys() & marks.keys()}

    found = await eventually(letters, lambda seen: len(seen) == len(marks))
    person = await sigmora.subscribe(topic=[secrets.token_hex(6)])
    wanted = (await sigmora.api.get("/preferences", headers=person.auth)).json()["topic"][0]
    await sigmora.fault(to=person.email, times=1, action={"kind": "status", "code": 503})
    for lane in Lane:
        await sigmora.accepted(topic=wanted, title=f"next, {lane}", lane=lane)
    await sigmora.arrived(person.email, len(Lane))

    for origin, (what, key, value, headers) in marks.items():
        letter = found[origin]
        assert (letter.key, letter.value, letter.headers[: len(headers)]) == (key, value, headers), what
        ours = dict(letter.headers[len(headers) :])
        assert ours["sigmora-error"], what
