"""What every log keeps to: the one in memory, and Kafka."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest

from libs.common.adapters.kafka.admin import Wanted, open_admin, plan
from libs.common.adapters.kafka.log import open_log
from libs.common.domain.errors import Poison, Unavailable
from libs.common.ports import Log, Record
from libs.common.settings import KafkaSettings
from libs.common.testing.log import MemoryLog
from libs.common.testing.log_reader import LogReader
from libs.common.topics import HEADROOM, LARGEST_RECORD

pytestmark = pytest.mark.integration

Read = Callable[[], Awaitable[list[tuple[bytes | None, bytes | None, tuple[tuple[str, bytes | None], ...]]]]]
Subject = tuple[Log, str, Read]


@pytest.fixture(params=["memory", "kafka"])
async def subject(request: pytest.FixtureRequest, topic_prefix: str) -> AsyncIterator[Subject]:
    """A log, a topic of it, and how to read that topic."""
    topic = f"{topic_prefix}log"
    if request.param == "memory":
        memory = MemoryLog()

        async def recall() -> Any:
            return [(record.key, record.value, record.headers) for record in memory.of(topic)]

        yield memory, topic, recall
        return
    settings = KafkaSettings(bootstrap_servers=request.getfixturevalue("stack").kafka_bootstrap_servers)
    want = Wanted(topic, 1, 1, {"max.message.bytes": str(LARGEST_RECORD + HEADROOM)})
    async with open_admin(settings) as admin, open_log(settings) as log:
        await admin.apply(plan([want], {}), {topic: want})

        reader = LogReader(settings.bootstrap_servers)

        async def read() -> Any:
            return [(record.key, record.value, record.headers) for record in await reader.read(topic)]

        yield log, topic, read


async def test_what_was_appended_is_read_back_in_order_byte_for_byte(subject: Subject) -> None:
    log, topic, read = subject
    headers = (("name", b"\xff\x00"), ("empty", b""))

    await log.append([Record(topic, b"1", b"k", headers), Record(topic, b"\xfe2")])
    await log.append([Record(topic, None, b"k")])

    assert await read() == [(b"k", b"1", headers), (None, b"\xfe2", ()), (b"k", None, ())]


async def test_a_record_without_key_and_value_is_written_as_it_is(subject: Subject) -> None:
    """aiokafka's producer asserts that there is one of them: the dead letter of such a record could not be written, and
    its partition stood still for good."""
    log, topic, read = subject
    headers = (("name", b"\xff"), ("none", None))

    await log.append([Record(topic, b"before"), Record(topic, None, None, headers), Record(topic, None)])
    await log.append([Record(topic, b"after")])

    assert await read() == [(None, b"before", ()), (None, None, headers), (None, None, ()), (None, b"after", ())]


async def test_names_of_headers_that_are_not_utf8_are_written_byte_for_byte(subject: Subject) -> None:
    """Brokers take any bytes. The dead letter of such a record must have them too."""
    log, topic, read = subject
    headers = ((b"\xfftrace\xfe".decode(errors="surrogateescape"), b"1"), ("plain", None))

    await log.append([Record(topic, b"before"), Record(topic, b"odd", b"k", headers), Record(topic, b"after")])

    assert await read() == [(None, b"before", ()), (b"k", b"odd", headers), (None, b"after", ())]


async def test_many_callers_may_append_at_once(subject: Subject) -> None:
    log, topic, read = subject

    await asyncio.gather(*(log.append([Record(topic, str(number).encode())]) for number in range(200)))

    assert sorted(int(value or b"-1") for _, value, _ in await read()) == list(range(200))


_TOO_LARGE = b"x" * (LARGEST_RECORD + HEADROOM + 1)


@pytest.mark.parametrize(
    "record",
    [
        Record("", _TOO_LARGE),
        Record("", b"", _TOO_LARGE),
        Record("", b"", None, (("h", _TOO_LARGE),)),
        Record("", b"", None, ((_TOO_LARGE.decode(), b""),)),
        Record("", None, None, (("h", _TOO_LARGE),)),
    ],
    ids=["a value", "a key", "a header", "a header's name", "a header of nothing"],
)
async def test_a_record_that_can_never_be_written_is_poison(subject: Subject, record: Record) -> None:
    log, topic, _read = subject

    with pytest.raises(Poison):
        await log.append([replace(record, topic=topic)])


async def test_the_largest_record_still_fits_with_headers_of_ours(subject: Subject) -> None:
    log, topic, read = subject

    await log.append([Record(topic, b"x" * LARGEST_RECORD, b"k", (("sigmora-origin", b"y" * 1000),))])

    assert [len(value or b"") for _, value, _ in await read()] == [LARGEST_RECORD]


@pytest.mark.parametrize("how", ["it failed", "it was cancelled"])
async def test_a_producer_whose_sender_has_ended_is_made_anew(stack: Any, topic_prefix: str, how: str) -> None:
    """Whatever ended it: every append was refused until the process was restarted, which looked ready all the time."""
    settings = KafkaSettings(bootstrap_servers=stack.kafka_bootstrap_servers)
    topic = f"{topic_prefix}log"
    want = Wanted(topic, 1, 1, {})

    async def fail() -> None:
        raise RuntimeError("a defect")

    async with open_admin(settings) as admin, open_log(settings) as log:
        await admin.apply(plan([want], {}), {topic: want})
        await log.append([Record(topic, b"1")])
        sender: Any = log._producer._sender  # type: ignore[union-attr]  # it has appended
        if how == "it failed":
            sender._maybe_wait_for_pid = fail
            sender._message_accumulator._waiter_future.set_result(None)  # it looks around once more
        else:
            sender.sender_task.cancel()
        await asyncio.wait([sender.sender_task])

        await log.ready()
        await log.append([Record(topic, b"2")])


async def test_brokers_that_do_not_answer_are_unavailable_within_the_time_given() -> None:
    settings = KafkaSettings.model_validate({"bootstrap_servers": "127.0.0.1:1", "request_timeout": "500ms"})
    async with open_log(settings) as log:
        with pytest.raises(Unavailable):
            await asyncio.wait_for(log.append([Record("t", b"x")]), 5)


async def test_a_topic_that_is_missing_is_unavailable(stack: Any, topic_prefix: str) -> None:
    """Nothing creates it by itself: what is misspelt must not become a topic."""
    settings = KafkaSettings.model_validate(
        {"bootstrap_servers": stack.kafka_bootstrap_servers, "request_timeout": "500ms"}
    )
    async with open_log(settings) as log:
        with pytest.raises(Unavailable):
            await log.append([Record(f"{topic_prefix}missing", b"x")])
