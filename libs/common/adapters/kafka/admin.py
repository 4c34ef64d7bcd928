"""Creates and compares topics. aiokafka's admin answers errors instead of raising them: here they become exceptions."""

import asyncio
import time
from collections.abc import AsyncIterator, Collection, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError, for_code

from libs.common.adapters.kafka.security import client_arguments
from libs.common.domain.errors import Unavailable
from libs.common.settings import KafkaSettings, TopicSettings
from libs.common.topics import Topic

_ALREADY_EXISTS = 36
_SET_ON_THE_TOPIC = 1
"""Where a value comes from, in the brokers' numbers: not from a broker, nor from Kafka's defaults."""
_TOLD_WITHIN = 10.0
"""Seconds until a broker must have heard of a change that the controller has made; some milliseconds are usual."""


@dataclass(frozen=True)
class Wanted:
    """A topic as it should be on the broker."""

    name: str
    partitions: int
    replication_factor: int
    configs: Mapping[str, str]


@dataclass(frozen=True)
class Existing:
    """A topic as it is; `configs` are all in force, the brokers' defaults too."""

    name: str
    partitions: int
    configs: Mapping[str, str]


@dataclass(frozen=True)
class Change:
    """One difference and what `apply` does about it; `refused` says why nothing is done."""

    topic: str
    action: str
    detail: str = ""
    refused: bool = field(default=False)


def wanted(topic: Topic, settings: KafkaSettings) -> Wanted:
    """What the table's row means on a broker."""
    if topic.retention is None:
        # Readers that were away for less than a day still see the tombstones of erased subscribers.
        configs = {"cleanup.policy": "compact", "delete.retention.ms": "86400000", "min.cleanable.dirty.ratio": "0.1"}
    else:
        configs = {"cleanup.policy": "delete", "retention.ms": str(round(topic.retention.total_seconds() * 1000))}
    configs["max.message.bytes"] = str(topic.largest_record)
    if settings.min_insync_replicas > 1:  # else the brokers' own default stands, which may be higher
        configs["min.insync.replicas"] = str(settings.min_insync_replicas)
    return Wanted(topic.name, settings.partitions, settings.replication_factor, configs)


def plan(wants: Iterable[Wanted], exists: Mapping[str, Existing]) -> list[Change]:
    """What differs. Partitions are only ever added: fewer would need a new topic, and keys would move."""
    changes = []
    for want in wants:
        have = exists.get(want.name)
        if have is None:
            changes.append(Change(want.name, "create", _described(want)))
            continue
        if have.partitions < want.partitions:
            changes.append(Change(want.name, "add partitions", f"{have.partitions} to {want.partitions}"))
        if have.partitions > want.partitions:
            detail = f"it has {have.partitions}, wanted are {want.partitions}"
            changes.append(Change(want.name, "keep partitions", detail, refused=True))
        different = {name: value for name, value in want.configs.items() if have.configs.get(name) != value}
        if different:
            changes.append(Change(want.name, "set", ", ".join(f"{k}={v}" for k, v in sorted(different.items()))))
    return changes


class TopicAdmin:
    """Reads topics from the brokers and makes them as they should be."""

    def __init__(self, client: AIOKafkaAdminClient) -> None:
        self._client = client

    async def names(self) -> set[str]:
        """Every topic that there is."""
        return set(await self._client.list_topics())

    async def existing(self, names: Iterable[str]) -> dict[str, Existing]:
        """Those of `names` that exist."""
        found = sorted(set(names) & await self.names())
        if not found:
            return {}
        described = await self._client.describe_topics(found)
        configs = await self._configs(found)
        return {
            topic["topic"]: Existing(topic["topic"], len(topic["partitions"]), configs.get(topic["topic"], {}))
            for topic in described
            if topic["partitions"]  # else the broker that was asked has not heard of it yet
        }

    async def apply(self, changes: Iterable[Change], wants: Mapping[str, Wanted]) -> None:
        """Make the changes; safe to run again and by several at once. Returns once a broker tells of them: the
        controller answers earlier, and whoever looked then would see what was."""
        made = list(changes)
        by_action: dict[str, list[Wanted]] = {}
        for change in made:
            by_action.setdefault(change.action, []).append(wants[change.topic])
        if creating := by_action.get("create"):
            await self._create(creating)
        if growing := by_action.get("add partitions"):
            answer = await self._client.create_partitions({w.name: NewPartitions(w.partitions) for w in growing})
            _raise_on_error((row[1], row[0]) for row in answer.topic_errors)
        if setting := by_action.get("set"):
            await self._set(setting)
        await self._until_told({(change.topic, change.action) for change in made}, wants)

    async def _until_told(self, made: Collection[tuple[str, str]], wants: Mapping[str, Wanted]) -> None:
        concerned = [wants[topic] for topic, _ in made]
        deadline = time.monotonic() + _TOLD_WITHIN
        while concerned:
            try:
                exists = await self.existing(want.name for want in concerned)
            except (Unavailable, KafkaError) as error:  # a broker that has not heard of a topic refuses to describe it
                if time.monotonic() > deadline:
                    raise Unavailable(f"Kafka: {error or type(error).__name__}") from error
            else:
                left = [each for each in plan(concerned, exists) if (each.topic, each.action) in made]
                if not left:
                    return
                if time.monotonic() > deadline:
                    raise Unavailable(f"Kafka: the brokers do not tell of {left[0].action} for {left[0].topic}")
            await asyncio.sleep(0.05)

    async def _create(self, wants: list[Wanted]) -> None:
        answer = await self._client.create_topics(
            [NewTopic(w.name, w.partitions, w.replication_factor, topic_configs=dict(w.configs)) for w in wants]
        )
        _raise_on_error((row[1], row[0]) for row in answer.topic_errors if row[1] != _ALREADY_EXISTS)

    async def _set(self, wants: list[Wanted]) -> None:
        # alter_configs replaces everything that is set on a topic: what operators have set there goes along.
        theirs = await self._configs([want.name for want in wants], only_own=True)
        resources = [
            ConfigResource(ConfigResourceType.TOPIC, want.name, {**theirs[want.name], **want.configs}) for want in wants
        ]
        for answer in await self._client.alter_configs(resources):
            _raise_on_error((row[0], row[3]) for row in answer.resources)

    async def _configs(self, names: list[str], *, only_own: bool = False) -> dict[str, dict[str, str]]:
        """What is in force for each topic, or only what is set on the topic itself."""
        resources = [ConfigResource(ConfigResourceType.TOPIC, name) for name in names]
        configs: dict[str, dict[str, str]] = {}
        for answer in await self._client.describe_configs(resources):
            _raise_on_error((row[0], row[3]) for row in answer.resources)
            for _code, _message, _kind, name, entries in answer.resources:
                configs[name] = {
                    key: value for key, value, _, source, *_ in entries if source == _SET_ON_THE_TOPIC or not only_own
                }
        return configs


@asynccontextmanager
async def open_admin(settings: KafkaSettings) -> AsyncIterator[TopicAdmin]:
    """The brokers' administration, until the block ends; raises `Unavailable` when they are away."""
    arguments = client_arguments(settings)
    client = AIOKafkaAdminClient(**arguments)
    try:
        try:
            await client.start()
        except (KafkaError, OSError) as error:
            raise Unavailable(f"Kafka: {type(error).__name__}") from error
        yield TopicAdmin(client)
    finally:
        await client.close()


async def plan_topics(kafka: KafkaSettings, names: TopicSettings, tenants: Iterable[str] = ()) -> list[Change]:
    """What differs between the table and the brokers; with the `ingest.*` of these tenants."""
    wants = [wanted(topic, kafka) for topic in names.topics.table(tenants)]
    async with open_admin(kafka) as admin:
        changes = plan(wants, await admin.existing(want.name for want in wants))
        return changes + await _unread(admin, names)


async def apply_topics(kafka: KafkaSettings, names: TopicSettings, tenants: Iterable[str] = ()) -> list[Change]:
    """Make the brokers' topics those of the table, with the `ingest.*` of these tenants; what was changed."""
    wants = {topic.name: wanted(topic, kafka) for topic in names.topics.table(tenants)}
    async with open_admin(kafka) as admin:
        changes = plan(wants.values(), await admin.existing(wants))
        await admin.apply([change for change in changes if not change.refused], wants)
        return changes + await _unread(admin, names)


async def _unread(admin: TopicAdmin, names: TopicSettings) -> list[Change]:
    detail = f"RETRY_SCHEDULE has {len(names.topics.tiers)} tiers: what waits here is tried by nobody; delete it empty"
    return [Change(name, "not read", detail, refused=True) for name in names.topics.unread_tiers(await admin.names())]


def _described(want: Wanted) -> str:
    kept = want.configs.get("min.insync.replicas")
    copies = f"replication factor {want.replication_factor}" + (f", min.insync.replicas={kept}" if kept else "")
    return f"{want.partitions} partitions, {copies}"


def _raise_on_error(rows: Iterable[tuple[Any, Any]]) -> None:
    for code, what in rows:
        if code:
            raise Unavailable(f"Kafka refused {what}: {for_code(code).__name__}")
