"""Tells how many records each consumer has yet to read: what autoscalers and alerts look at."""

import asyncio
from collections.abc import Sequence

from aiokafka import TopicPartition

from libs.common.adapters.kafka.consuming import Consumption
from libs.common.observability.metrics import Metrics

_EVERY = 5.0
"""Seconds: an autoscaler looks each 15 to 30."""


async def measure_lag(consumptions: Sequence[Consumption], metrics: Metrics) -> None:
    """Sets `consumer_lag` of every partition that is, or was, assigned here; until cancelled."""
    told: set[tuple[str, TopicPartition]] = set()
    while True:
        told = tell_lag(consumptions, metrics, told)
        await asyncio.sleep(_EVERY)


def tell_lag(
    consumptions: Sequence[Consumption], metrics: Metrics, told: set[tuple[str, TopicPartition]]
) -> set[tuple[str, TopicPartition]]:
    """One look; which partitions were told of. One that was taken from us is 0 from then on: its lag is its new owner's
    to tell."""
    lags = {(one.group_id, partition): lag for one in consumptions for partition, lag in one.lag().items()}
    for group, partition in told | lags.keys():
        lag = lags.get((group, partition), 0)
        metrics.gauge("consumer_lag", lag, group=group, topic=partition.topic, partition=str(partition.partition))
    return set(lags)
