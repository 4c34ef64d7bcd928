"""Every topic of the log: its name, key, value and retention, as data. The command line creates them, the services
subscribe to them and the documentation lists them from this table; nothing else spells a topic's name."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta

from libs.common.domain.channels import Channel, Lane

_DAY = timedelta(days=1)

LARGEST_RECORD = 1024 * 1024
"""Bytes of the largest record that any topic takes, Kafka's own default."""
HEADROOM = 64 * 1024
"""What `dead-letters` takes beyond that: the largest record must still fit with our headers on it."""


@dataclass(frozen=True)
class Topic:
    """One topic. `retention` None: compacted, the last value of each key is kept."""

    name: str
    key: str
    value: str
    retention: timedelta | None
    largest_record: int = LARGEST_RECORD


@dataclass(frozen=True)
class Topics:
    """The names of all topics under one prefix.

    `tiers` are the delays of the retry tiers: retry topics must keep records for at least twice the whole schedule,
    else a broker may delete a delivery that waits.
    """

    prefix: str
    tiers: tuple[timedelta, ...]

    def events(self, lane: Lane) -> str:
        """Accepted events of one lane."""
        return f"{self.prefix}events.{lane}"

    def ingest(self, tenant: str) -> str:
        """Where `tenant`'s services may produce CloudEvents themselves; the topic is the tenant."""
        return f"{self.prefix}ingest.{tenant}"

    @property
    def ingest_prefix(self) -> str:
        """What all ingest topics begin with; the rest is the tenant."""
        return f"{self.prefix}ingest."

    @property
    def subscriptions(self) -> str:
        """Wishes of every subscriber, compacted."""
        return f"{self.prefix}subscriptions"

    def deliveries(self, channel: Channel, lane: Lane) -> str:
        """Batches to deliver."""
        return f"{self.prefix}deliveries.{channel.lower()}.{lane}"

    def retry(self, channel: Channel, tier: int) -> str:
        """Deliveries that wait for another attempt; tier from 1."""
        return f"{self.prefix}deliveries.{channel.lower()}.retry.{tier}"

    def unread_tiers(self, existing: Iterable[str]) -> list[str]:
        """The retry topics among `existing` that a longer schedule had: nobody reads them any more."""
        within = {self.retry(channel, tier) for channel in Channel for tier in range(1, len(self.tiers) + 1)}
        stems = tuple(self.retry(channel, 0)[:-1] for channel in Channel)
        tiers = [name for name in existing if name.startswith(stems) and name.rpartition(".")[2].isdecimal()]
        return sorted(set(tiers) - within)

    def dead(self, channel: Channel) -> str:
        """Deliveries whose retries are used up."""
        return f"{self.prefix}deliveries.{channel.lower()}.dead"

    @property
    def dead_letters(self) -> str:
        """Records that could not be read, byte for byte."""
        return f"{self.prefix}dead-letters"

    @property
    def decisions(self) -> str:
        """What the router concluded, and why."""
        return f"{self.prefix}decisions"

    @property
    def status(self) -> str:
        """Changes of state."""
        return f"{self.prefix}status"

    def table(self, tenants: Iterable[str] = ()) -> Iterator[Topic]:
        """Every topic that must exist, and those into which these tenants may produce."""
        for tenant in tenants:
            yield Topic(self.ingest(tenant), "upstream's", "CloudEvents", 14 * _DAY)
        for lane in Lane:
            yield Topic(self.events(lane), "event id", "Event", 14 * _DAY)
        yield Topic(self.subscriptions, "tenant:subscriber", "SubscriberChanged", None)
        waiting = max(7 * _DAY, 2 * sum(self.tiers, timedelta()))
        for channel in Channel:
            for lane in Lane:
                yield Topic(self.deliveries(channel, lane), "event id:chunk", "DeliveryBatch", 7 * _DAY)
            for tier in range(1, len(self.tiers) + 1):
                yield Topic(self.retry(channel, tier), "delivery id", "RetryDelivery", waiting)
            yield Topic(self.dead(channel), "delivery id", "RetryDelivery", 30 * _DAY)
        yield Topic(self.dead_letters, "the original's", "the original's bytes", 30 * _DAY, LARGEST_RECORD + HEADROOM)
        yield Topic(self.decisions, "event id", "DecisionChunk", 14 * _DAY)
        yield Topic(self.status, "delivery id", "StatusChanged", 7 * _DAY)
