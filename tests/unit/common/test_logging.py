"""Log lines name ids, never people."""

import logging

from libs.common.observability.logging import FORBIDDEN, OncePerSecond, drop_personal


def test_whatever_could_name_a_person_is_dropped() -> None:
    event = dict.fromkeys(FORBIDDEN, "canary@example.com") | {"event": "x", "event_id": "1"}

    assert "canary" not in str(drop_personal(None, "info", event))
    assert event["event_id"] == "1"


def record(line: int, created: float) -> logging.LogRecord:
    made = logging.LogRecord("aiokafka", logging.ERROR, "client.py", line, "away", None, None)
    made.created = created
    return made


def test_a_place_that_shouts_is_heard_once_a_second() -> None:
    """A broker that is away makes aiokafka write tens of thousands of lines."""
    throttle = OncePerSecond()

    heard = [throttle.filter(record(line=1, created=1000 + tenth / 10)) for tenth in range(20)]

    assert sum(heard) == 2


def test_another_place_is_heard_at_once() -> None:
    throttle = OncePerSecond()
    throttle.filter(record(line=1, created=1000.0))

    assert throttle.filter(record(line=2, created=1000.0))
