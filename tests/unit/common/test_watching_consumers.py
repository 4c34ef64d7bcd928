"""What is watched over every consumer of a process: that it can make progress, and how much it has yet to read."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import KafkaConnectionError

from libs.common import background
from libs.common.adapters.kafka import watchdog
from libs.common.adapters.kafka.lag import tell_lag
from libs.common.adapters.kafka.progress import Progress
from libs.common.observability.metrics import Metrics

FIRST, SECOND = TopicPartition("events", 0), TopicPartition("events", 1)


def consumer(*, dead: Any = lambda: False, lag: Any = dict) -> Any:
    return SimpleNamespace(group_id="router", topics=("events",), dead=dead, lag=lag, consumer=None)


async def silence() -> None:
    await asyncio.Event().wait()


async def refusal() -> None:
    raise KafkaConnectionError


def brokers(
    *, answer: Callable[[], Awaitable[None]] = lambda: asyncio.sleep(0), paused: Any = (), unreadable: Any = ()
) -> Any:
    """A consumer of aiokafka, as far as it knows that the one partition goes up to 5, unless the brokers are away."""

    async def end_offsets(partitions: list[TopicPartition]) -> dict[TopicPartition, int]:
        await answer()
        return dict.fromkeys(partitions, 5)

    reasons = dict.fromkeys(unreadable, "CorruptRecordException")
    return SimpleNamespace(end_offsets=end_offsets, paused=lambda: set(paused), unreadable=reasons)


def at(offset: int, consumer: Any, **state: Any) -> Any:
    return SimpleNamespace(
        consumer=consumer, **{"handling": False, "failures": 0, "positions": lambda: {FIRST: offset}, **state}
    )


def lag_of(metrics: Metrics, partition: TopicPartition) -> float | None:
    labels = {"group": "router", "topic": partition.topic, "partition": str(partition.partition)}
    return metrics.registry.get_sample_value("sigmora_consumer_lag", labels)


@pytest.fixture
def ended(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Each time that the process would have been ended."""
    calls: list[str] = []
    monkeypatch.setattr(background, "end_process", lambda: calls.append("ended"))
    monkeypatch.setattr(watchdog, "_EVERY", 0.0)
    return calls


async def test_a_process_is_ended_when_one_consumer_is_dead_three_looks_in_a_row(ended: list[str]) -> None:
    looks = iter([True, True, False, True, True, True])

    await watchdog.watch([consumer(), consumer(dead=lambda: next(looks))], background.end_process)

    assert ended == ["ended"]
    assert list(looks) == []


async def test_a_process_is_ended_when_one_consumer_stands_still_for_long(
    ended: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing looked at progress: a consumer that polled no more, with records waiting, was taken for well."""
    monkeypatch.setattr(watchdog, "_PROGRESS_EVERY", 0.0)
    looks = iter([False, *[True] * 11, False, *[True] * 12])

    async def stands_still(_: Progress) -> bool:
        return next(looks)

    monkeypatch.setattr(Progress, "stands_still", stands_still)

    await watchdog.watch([consumer()], background.end_process)

    assert ended == ["ended"]
    assert list(looks) == []


async def test_what_waits_at_one_look_and_still_at_the_next_stands_still() -> None:
    progress = Progress(at(3, brokers()))

    assert [await progress.stands_still() for _ in range(3)] == [False, True, True]


KEPT = {
    "nothing more is there": at(5, brokers()),
    "it is being started": at(3, None),
    "its handler is busy": at(3, brokers(), handling=True),
    "its handler fails": at(3, brokers(), failures=1),
    "its partitions are being given out": at(3, brokers(), positions=dict),
    "back-pressure": at(3, brokers(paused=[FIRST])),
    "the partition cannot be read": at(3, brokers(unreadable=[FIRST])),
    "Kafka is away": at(3, brokers(answer=refusal)),
    "Kafka does not answer": at(3, brokers(answer=silence)),
}


@pytest.mark.parametrize("one", KEPT.values(), ids=KEPT)
async def test_what_is_kept_from_reading_does_not_stand_still(one: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("libs.common.adapters.kafka.progress._PATIENCE", 0.01)
    progress = Progress(one)

    assert [await progress.stands_still() for _ in range(3)] == [False, False, False]


async def test_what_moves_does_not_stand_still() -> None:
    offsets = iter(range(3))
    progress = Progress(at(0, brokers(), positions=lambda: {FIRST: next(offsets)}))

    assert [await progress.stands_still() for _ in range(3)] == [False, False, False]


async def test_a_process_is_ended_when_its_background_work_breaks(ended: list[str]) -> None:
    async def break_down() -> None:
        raise RuntimeError("a defect")

    async with background.beside(break_down(), name="work"):
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    assert ended == ["ended"]


async def test_a_process_that_is_stopped_is_not_ended_once_more(ended: list[str]) -> None:
    stopped = asyncio.Event()

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            stopped.set()

    async with background.beside(work(), name="work"):
        await asyncio.sleep(0)

    assert stopped.is_set()
    assert ended == []


async def deaf_once() -> None:
    """What a call of either driver may do in Python 3.11: a cancellation that comes as its answer does is lost."""
    with suppress(asyncio.CancelledError):
        await asyncio.Event().wait()
    await asyncio.Event().wait()


async def test_a_task_that_loses_a_cancellation_ends_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(background, "_PATIENCE", 0.01)
    task = asyncio.create_task(deaf_once())
    await asyncio.sleep(0)

    async with asyncio.timeout(5):
        await background.end(task)

    assert task.cancelled()


async def test_a_process_stops_though_one_of_its_loops_lost_a_cancellation(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a task group it never did: a router that was stopped just as MongoDB answered its scheduler went on for ever,
    in 4 of 60 stops while that was busy."""
    monkeypatch.setattr(background, "_PATIENCE", 0.01)
    asked = asyncio.Event()

    async def loop() -> None:
        asked.set()
        await deaf_once()

    task = background.begin(background.run_beside(loop(), silence(), name="loops"), "router")
    await asked.wait()
    patient = asyncio.create_task(background.end(task))

    done, _ = await asyncio.wait([patient], timeout=5)

    assert done
    assert task.cancelled()


async def test_who_is_cancelled_while_tasks_end_hears_of_it_when_they_have(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(background, "_PATIENCE", 0.01)
    task = asyncio.create_task(deaf_once())
    await asyncio.sleep(0)
    ending = asyncio.create_task(background.end(task))
    await asyncio.sleep(0)

    ending.cancel()
    await asyncio.wait([ending])

    assert task.cancelled()
    assert ending.cancelled()


def test_the_lag_of_a_partition_that_was_taken_away_is_told_as_nothing() -> None:
    """Its last value would be counted beside the new owner's for as long as the process lives."""
    metrics = Metrics()
    told = tell_lag([consumer(lag=lambda: {FIRST: 7, SECOND: 3})], metrics, set())
    assert (lag_of(metrics, FIRST), lag_of(metrics, SECOND)) == (7, 3)

    tell_lag([consumer(lag=lambda: {FIRST: 4})], metrics, told)

    assert (lag_of(metrics, FIRST), lag_of(metrics, SECOND)) == (4, 0)
