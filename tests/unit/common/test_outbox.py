"""The log's last word on a subscriber is the database's, whatever overtakes what."""

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from libs.common.domain.errors import Unavailable
from libs.common.domain.messages import SubscriberChanged
from libs.common.domain.subscribers import Subscriber, Subscription, ended_version
from libs.common.observability.metrics import Metrics
from libs.common.outbox import GRACE, Outbox
from libs.common.testing.credentials import MemoryAccounts
from libs.common.testing.log import MemoryLog
from libs.common.testing.subscribers import MemorySubscribers

NOW = datetime(2030, 1, 1, 12, tzinfo=UTC)
Parts = tuple[Outbox, MemorySubscribers, MemoryLog]


@pytest.fixture
def parts() -> Parts:
    """An outbox between a database and a log."""
    subscribers, log = MemorySubscribers(), MemoryLog()
    return Outbox(subscribers, [MemoryAccounts()], log, "subscriptions"), subscribers, log


def ada(version: int = 1, **changed: Any) -> Subscriber:
    """A subscriber."""
    blank = Subscriber(tenant="acme", subscriber_id="ada", ordinal=0, created_at=NOW, updated_at=NOW)
    return msgspec.structs.replace(blank, version=version, **changed)


def versions(log: MemoryLog) -> list[int | None]:
    """The versions told, in order; None is a tombstone."""
    return [
        msgspec.json.decode(record.value, type=SubscriberChanged).version if record.value else None
        for record in log.records
    ]


async def test_what_is_published_is_not_swept(parts: Parts) -> None:
    outbox, subscribers, log = parts
    await subscribers.insert(ada())
    await outbox.publish(ada())

    assert await outbox.sweep(NOW + timedelta(hours=1)) == 0
    assert versions(log) == [1]


async def test_what_a_crash_left_is_swept_once_it_is_old_enough(parts: Parts) -> None:
    outbox, subscribers, log = parts
    await subscribers.insert(ada())

    assert await outbox.sweep(NOW + GRACE) == 0
    assert await outbox.sweep(NOW + GRACE + timedelta(milliseconds=1)) == 1
    assert versions(log) == [1]


async def test_an_older_version_that_comes_late_is_followed_by_the_latest(parts: Parts) -> None:
    """Compaction keeps what came last."""
    outbox, subscribers, log = parts
    await subscribers.insert(ada())
    await subscribers.replace(ada(2))
    await outbox.publish(ada(2))

    await outbox.publish(ada(1))

    assert versions(log) == [2, 1, 2]


async def test_a_version_that_comes_after_the_erasure_is_followed_by_the_tombstone(parts: Parts) -> None:
    outbox, subscribers, log = parts
    await subscribers.insert(ada())
    erased = msgspec.structs.replace(ada().without_person(NOW), version=2)
    await subscribers.replace(erased)
    await outbox.publish(erased)

    await outbox.publish(ada(1))

    assert versions(log) == [None, 1, None]
    assert [ended_version(record.headers) for record in log.records] == [2, None, 1]


async def test_a_mark_stays_while_the_log_is_away(parts: Parts) -> None:
    outbox, subscribers, log = parts
    await subscribers.insert(ada())
    log.away = True

    with pytest.raises(Unavailable):
        await outbox.sweep(NOW + timedelta(hours=1))
    await outbox.publish_soon(ada())
    log.away = False

    assert await outbox.sweep(NOW + timedelta(hours=1)) == 1


def too_large(number: int = 0) -> Subscriber:
    """A subscriber whose wishes are larger than any record."""
    wanted = Subscription(name="default", pattern={"topic": ["x" * 2_000_000]})
    return ada(subscriber_id=f"large{number}", ordinal=100 + number, subscriptions=(wanted,))


async def test_one_that_is_too_large_for_the_log_stops_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """The sweep appended the oldest in one go, was refused for one of them every time, and told nobody's change."""
    monkeypatch.setattr("libs.common.outbox._AT_ONCE", 2)
    subscribers, log, metrics = MemorySubscribers(), MemoryLog(), Metrics()
    outbox = Outbox(subscribers, [MemoryAccounts()], log, "subscriptions", metrics)
    later = NOW + timedelta(hours=1)
    for number in range(2):
        await subscribers.insert(too_large(number))
    await subscribers.insert(ada(updated_at=NOW + timedelta(seconds=1)))

    swept = [await outbox.sweep(later), await outbox.sweep(later), await outbox.sweep(later)]

    assert swept == [0, 1, 0]
    assert versions(log) == [1]
    assert metrics.registry.get_sample_value("sigmora_outbox_refused_total") == 2
    assert metrics.registry.get_sample_value("sigmora_outbox_swept_total") == 1
    assert [one.subscriber_id for one in await subscribers.pending(later + timedelta(days=1), 9)] == [
        "large0",
        "large1",
    ]


async def test_the_next_version_of_one_that_was_too_large_is_told(parts: Parts) -> None:
    outbox, subscribers, log = parts
    await subscribers.insert(too_large())
    await outbox.sweep(NOW + timedelta(hours=1))
    await subscribers.replace(msgspec.structs.replace(too_large(), version=2, subscriptions=()))

    assert await outbox.sweep(NOW + timedelta(hours=1)) == 1
    assert versions(log) == [2]


async def test_whoever_made_a_change_that_is_too_large_is_not_told_that_it_failed(parts: Parts) -> None:
    """It is stored: the API answered 413, that an event was too large."""
    outbox, subscribers, log = parts
    await subscribers.insert(too_large())

    await outbox.publish_soon(too_large())

    assert versions(log) == []
    assert await subscribers.pending(NOW + timedelta(hours=1), 9) == [too_large()]
