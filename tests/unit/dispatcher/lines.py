"""A line without a broker, and how to look at what it does."""

import asyncio

import msgspec
from aiokafka import TopicPartition

from libs.common.domain.channels import Channel
from libs.common.domain.messages import DeliveryBatch
from libs.common.observability.metrics import Metrics
from libs.common.ports import Received
from libs.common.testing.waiting import eventually
from services.dispatcher.line import Graveyard, Line, LineLimits
from services.dispatcher.offsets import Pressure
from services.dispatcher.patience import Patience
from services.dispatcher.reading import read_batch

HERE, THERE = TopicPartition("batches", 0), TopicPartition("batches", 1)
LIMITS = LineLimits(
    in_flight=8, pressure=Pressure(high=20, low=5, span=40, weight=40_000), drain_at_revoke=0.05, drain_at_stop=0.05
)


class Consumer:
    """The native consumer's part."""

    def __init__(self):
        self.partitions = {HERE, THERE}
        self.paused = set()

    def assignment(self):
        return frozenset(self.partitions)

    def pause(self, *partitions):
        self.paused |= set(partitions)

    def resume(self, *partitions):
        self.paused -= set(partitions)


class Source:
    """The consumption's part."""

    group_id = "test"

    def __init__(self):
        self.consumer = Consumer()
        self.positions = {}
        self.away = False

    async def commit(self, positions):
        if self.away:
            return False
        self.positions |= positions
        return True


class Story:
    """Holds every delivery until it is told to finish it."""

    def __init__(self):
        self.groups = []
        self.held = {}
        self.finish_at_once = False
        self.defects = 0

    async def prepare(self, group, done):
        if self.defects:
            self.defects -= 1
            raise ZeroDivisionError
        self.groups.append(list(group))
        return [(work, done) for work in group]

    async def deliver(self, prepared, done):
        for work, _ in prepared:
            if self.finish_at_once:
                done(work)
            else:
                self.held.setdefault(work.subscriber_id, []).append((work, done))

    def stop(self):
        """As a dispatcher does with what it has not begun to send: it is put off, which is an end."""
        self.finish(*(each for each in self.held if each.startswith("queues")))

    def finish(self, *subscribers):
        for each in subscribers:
            for work, done in self.held.pop(each):
                done(work)


class Place:
    """A line and everything around it."""

    def __init__(self, world, limits=LIMITS):
        self.world = world
        self.source = Source()
        self.story = Story()
        self.log = world.log
        self.metrics = Metrics()
        graveyard = Graveyard(self.log, "dead-letters", Patience(lambda _: asyncio.sleep(0)), self.metrics)
        self.line = Line(
            lambda handler, listener: self.source,
            lambda record: read_batch(record.value, record.headers, Channel.EMAIL),
            self.story,
            graveyard,
            limits,
        )

    def batch(self, offset, *subscribers, partition=HERE):
        value = msgspec.json.encode(
            DeliveryBatch(event=self.world.event(offset), channel=Channel.EMAIL, subscribers=subscribers)
        )
        return self.record(offset, value, partition)

    def record(self, offset, value, partition=HERE):
        return Received(partition.topic, partition.partition, offset, b"k", value, (), 0)

    async def committed(self):
        await self.line.offsets.commit()
        return self.source.positions.get(HERE)


async def working(place, number):
    await eventually(lambda: sum(map(len, place.story.held.values())) == number)
