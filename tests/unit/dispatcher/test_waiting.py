"""The gate before which retries wait."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from aiokafka import TopicPartition

from libs.common.domain.channels import Channel
from libs.common.observability.metrics import Metrics
from libs.common.testing.waiting import eventually
from services.dispatcher.waiting import Gate

FIRST, SECOND = TopicPartition("retry.1", 0), TopicPartition("retry.2", 0)


class Yard:
    """A gate, what came out of it and when."""

    def __init__(self):
        self.metrics = Metrics()
        self.out = []
        self.gate = Gate(Channel.EMAIL, self.release, lambda: datetime.now(UTC), self.metrics, lambda: 1.0)

    def release(self, thing):
        self.out.append((thing, datetime.now(UTC)))

    def things(self):
        return [thing for thing, _ in self.out]

    def gauge(self, tier):
        return self.metrics.registry.get_sample_value("sigmora_retries_waiting", {"channel": "EMAIL", "tier": tier})


@pytest.fixture
async def yard():
    yard = Yard()
    yield yard
    yard.gate.close()


def soon(milliseconds):
    return datetime.now(UTC) + timedelta(milliseconds=milliseconds)


async def test_what_is_due_goes_through_at_once(yard):
    yard.gate.hold(FIRST, soon(-1), "late")
    assert yard.things() == ["late"]
    assert len(yard.gate) == 0


async def test_nothing_goes_through_before_it_is_due(yard):
    dues = {f"thing-{number}": soon(20 + number) for number in range(50)}
    for thing, due in dues.items():
        yard.gate.hold(FIRST, due, thing)
    assert yard.gauge("1") == 50

    await eventually(lambda: len(yard.out) == 50)

    assert yard.things() == list(dues)
    assert not [thing for thing, at in yard.out if at < dues[thing]]
    assert yard.gauge("1") == 0


async def test_a_long_tier_does_not_hold_up_a_short_one(yard):
    yard.gate.hold(SECOND, soon(60_000), "long")
    yard.gate.hold(FIRST, soon(10), "short")
    await eventually(lambda: yard.things() == ["short"])
    assert yard.gauge("2") == 1


async def test_what_was_taken_away_does_not_come_out(yard):
    faults = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: faults.append(context))
    yard.gate.hold(FIRST, soon(10), "ours no more")
    yard.gate.hold(SECOND, soon(200), "ours")
    yard.gate.drop([FIRST, TopicPartition("retry.9", 9)])
    await eventually(lambda: yard.things() == ["ours"])
    asyncio.get_running_loop().set_exception_handler(None)
    assert faults == [], "its timer went with it"
    assert (yard.gauge("1"), len(yard.gate)) == (0, 0)


async def test_a_partition_that_comes_back_starts_anew(yard):
    yard.gate.hold(FIRST, soon(60_000), "before")
    yard.gate.drop([FIRST])
    yard.gate.hold(FIRST, soon(5), "after")
    await eventually(lambda: yard.things() == ["after"])
