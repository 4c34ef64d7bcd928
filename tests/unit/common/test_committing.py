"""A commit is made or is not; it never keeps anybody waiting for good."""

import asyncio
from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import CommitFailedError
from faststream.kafka import KafkaBroker

from libs.common.adapters.kafka import consuming
from libs.common.adapters.kafka.consuming import Consumption

OURS, THEIRS = TopicPartition("events", 0), TopicPartition("events", 1)


@pytest.fixture
def committing(monkeypatch: pytest.MonkeyPatch) -> Callable[[Any], Consumption]:
    """A consumption whose one partition is committed by `commit`."""

    def make(commit: Any) -> Consumption:
        native = SimpleNamespace(assignment=lambda: {OURS}, commit=commit)
        monkeypatch.setattr(Consumption, "consumer", property(lambda _: native))

        async def ignore(_records: object) -> None:
            """Nothing comes."""

        return Consumption(KafkaBroker(), ignore, group_id="g", topics=["events"])

    return make


async def test_what_is_not_ours_any_more_is_left_to_its_owner(committing: Callable[[Any], Consumption]) -> None:
    """One partition that had been taken away failed the commit of all."""
    committed: dict[TopicPartition, int] = {}

    async def commit(positions: Mapping[TopicPartition, int]) -> None:
        committed.update(positions)

    consumption = committing(commit)

    assert await consumption.commit({OURS: 5, THEIRS: 7})
    assert not await consumption.commit({THEIRS: 7})
    assert committed == {OURS: 5}


async def test_a_group_without_a_coordinator_is_not_waited_for(
    committing: Callable[[Any], Consumption], monkeypatch: pytest.MonkeyPatch
) -> None:
    """aiokafka asks for one without end: a router that was being stopped stayed until Kafka was back."""
    monkeypatch.setattr(consuming, "_COMMIT_S", 0.01)

    async def commit(_positions: object) -> None:
        await asyncio.Event().wait()

    async with asyncio.timeout(30):
        assert not await committing(commit).commit({OURS: 5})


async def test_a_group_that_has_moved_on_is_told_by_false(committing: Callable[[Any], Consumption]) -> None:
    async def commit(_positions: object) -> None:
        raise CommitFailedError

    assert not await committing(commit).commit({OURS: 5})
