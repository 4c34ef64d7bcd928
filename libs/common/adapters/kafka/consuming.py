"""Runs consumers by FastStream: at least once, with explicit commits, from the earliest record on. Decides what happens
when a handler cannot finish (seek back, wait, again); knows nothing of what the records mean."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from datetime import timedelta
from functools import partial
from typing import Any

import structlog
from aiokafka import ConsumerRebalanceListener, TopicPartition
from aiokafka.coordinator.assignors.sticky.sticky_assignor import StickyPartitionAssignor
from aiokafka.errors import CommitFailedError, IllegalStateError, KafkaError
from faststream import AckPolicy
from faststream.kafka import KafkaBroker

from libs.common.adapters.kafka.polling import GroupConsumer
from libs.common.adapters.kafka.received import partition_of, raw_decoder, tolerant_parser
from libs.common.adapters.kafka.security import RETRY_BACKOFF_MS, broker_security
from libs.common.background import end_process
from libs.common.domain.errors import Unavailable
from libs.common.ports import Received
from libs.common.settings import KafkaSettings

_log = structlog.get_logger(__name__)

Handler = Callable[[list[Received]], Awaitable[None]]
"""Takes a batch; when it returns, every effect of the batch is durable, or somebody answers for it."""

_POLL_MS = 10
"""FastStream's rest after an empty poll; longer would show in the latency of what comes meanwhile."""
_SESSION_MS = 10_000
_BACK_OFF = (0.2, 0.5, 1.0, 2.0, 5.0)
"""Seconds before a failed batch is read again. The last one repeats; all are far under `max_poll_interval_ms`."""
_COMMIT_S = 5.0
"""How long a commit may take; what is not committed comes again."""
_FAILED_LOOPS = 3
"""Times that FastStream had to start our loop again, without a batch handled since: each failed as the one before."""


class PatientBroker(KafkaBroker):
    """FastStream's broker gives up when Kafka is away at the start; this one waits for it, with a log line a second.
    And it starts one consumer after the other, each waiting for its group: after a crash every group of the dead member
    would cost a session (10 s), one by one. Here they join all at once.

    `before_start` is awaited first: consumers start only when what their handlers need is there. The application
    serves its probes meanwhile.
    """

    before_start: Callable[[], Awaitable[object]] | None = None

    async def start(self) -> None:
        """Start every consumer; returns once all have."""
        if self.before_start is not None:
            await self.before_start()
        while True:
            try:
                await self._start_all()
            except (KafkaError, OSError) as error:
                _log.warning("broker.waiting", error=type(error).__name__)
                await self.stop()  # those that did start would be made twice
                await asyncio.sleep(1)
            except Exception:  # nothing that waiting would mend, and FastStream would keep the process as it is
                _log.exception("broker.ending_process")
                end_process()
            else:
                return

    async def _connect(self) -> Any:
        made: Any = await super()._connect()
        config = self.config.broker_config
        config.builder = partial(GroupConsumer, *made.args, **made.keywords)  # FastStream has no setting for the class
        return config.builder

    async def _start_all(self) -> None:
        await self.connect()
        starts = await asyncio.gather(*(each.start() for each in self.subscribers), return_exceptions=True)
        for failure in starts:
            if isinstance(failure, BaseException):
                raise failure
        self.running = True


def build_broker(
    settings: KafkaSettings,
    client_id: str,
    middlewares: Sequence[Any] = (),
    *,
    metadata_max_age: timedelta = timedelta(minutes=5),
    before_start: Callable[[], Awaitable[object]] | None = None,
) -> PatientBroker:
    """A FastStream broker that acknowledges nothing by itself and reads records whatever their state.

    `metadata_max_age` bounds how long a new topic stays unseen by a consumer that subscribes by pattern.
    """
    broker = PatientBroker(
        settings.bootstrap_servers.split(","),
        client_id=client_id,
        security=broker_security(settings),
        retry_backoff_ms=RETRY_BACKOFF_MS,
        metadata_max_age_ms=round(metadata_max_age / timedelta(milliseconds=1)),
        allow_auto_create_topics=False,
        consumer_only=True,  # what we write goes through `KafkaLog`; a second producer would only idle
        ack_policy=AckPolicy.MANUAL,
        apply_types=False,
        parser=tolerant_parser,
        decoder=raw_decoder,
        middlewares=middlewares,
        graceful_timeout=15.0,
        logger=None,
    )
    broker.before_start = before_start
    return broker


class Consumption:
    """One consumer group member over some topics, and the handler that it feeds."""

    def __init__(
        self,
        broker: KafkaBroker,
        handler: Handler,
        *,
        group_id: str,
        topics: Iterable[str] = (),
        pattern: str | None = None,
        max_records: int = 500,
        listener: ConsumerRebalanceListener | None = None,
    ) -> None:
        self.group_id = group_id
        self.topics = tuple(topics)
        self.failures = 0
        """Batches that failed in a row; 0 while all is well."""
        self.handling = False
        """Whether the handler has a batch, or a batch that failed waits to be read again."""
        self._failed_loops_forgiven = 0
        self._handler = handler
        self._subscriber = broker.subscriber(
            *self.topics,
            pattern=pattern,
            group_id=group_id,
            batch=True,
            max_records=max_records,
            batch_timeout_ms=_POLL_MS,
            auto_offset_reset="earliest",
            ack_policy=AckPolicy.MANUAL,
            no_reply=True,
            partition_assignment_strategy=(StickyPartitionAssignor,),
            session_timeout_ms=_SESSION_MS,
            heartbeat_interval_ms=_SESSION_MS // 5,
            rebalance_timeout_ms=30_000,
            listener=listener,
        )
        self._subscriber(self._handle)

    @property
    def consumer(self) -> GroupConsumer | None:
        """The native consumer; None before the start and after the stop."""
        return self._subscriber.consumer

    async def commit(self, positions: Mapping[TopicPartition, int]) -> bool:
        """Commit the next offset to read of each partition that is still ours. False when none is, or the coordinator
        is away: the records come again, to us or to the next owner."""
        consumer = self.consumer
        if consumer is None:
            return False
        ours = {each: at for each, at in positions.items() if each in consumer.assignment()}
        if not ours:
            return False
        try:
            async with asyncio.timeout(_COMMIT_S):  # aiokafka asks for a coordinator without end
                await consumer.commit(ours)
        except (TimeoutError, CommitFailedError, IllegalStateError, KafkaError) as error:
            _log.warning("offsets.commit_failed", group=self.group_id, error=type(error).__name__)
            return False
        return True

    def lag(self) -> dict[TopicPartition, int]:
        """How many records of each assigned partition are yet to be fetched, as far as the last fetch told."""
        consumer = self.consumer
        if consumer is None:
            return {}
        known = ((partition, consumer.highwater(partition), at) for partition, at in self.positions().items())
        return {partition: max(0, end - at) for partition, end, at in known if end is not None}

    def positions(self) -> dict[TopicPartition, int]:
        """Of each assigned partition the offset of the record that the next poll would give, where that is known."""
        if self.consumer is None:
            return {}
        positions = {}
        for partition in self.consumer.assignment():
            state = self.consumer._subscription.subscription.assignment.state_value(partition)  # no public, sync getter
            if state is not None and state.has_valid_position:
                positions[partition] = state.position
        return positions

    def dead(self) -> bool:
        """Whether the member can never make progress again: aiokafka's coordination or fetching has ended, or our loop
        has, or it fails again and again.

        Seen when a broker is killed under load; FastStream goes on logging and never makes the consumer anew.
        """
        if self.consumer is None or not self._subscriber.running:
            return False  # being started, or stopped
        # No public way shows that they died.
        ended = [self.consumer._coordinator._coordination_task.done(), self.consumer._fetcher._fetch_task.done()]
        loops = [task for task in self._subscriber.tasks if not task.done()]
        return any(ended) or not loops or self._failed_loops() - self._failed_loops_forgiven >= _FAILED_LOOPS

    async def ready(self) -> dict[str, int]:
        """How many partitions and unread records it has; raises `Unavailable` while it can make no progress."""
        if self.consumer is None or not self._subscriber.running:
            raise Unavailable(f"{self.group_id}: not started")
        if self.dead():
            raise Unavailable(f"{self.group_id}: the consumer has ended")
        if self.consumer._coordinator.coordinator_id is None:  # no public way to see that the group is unreachable
            raise Unavailable(f"{self.group_id}: no group coordinator")
        if self.failures:
            raise Unavailable(f"{self.group_id}: {self.failures} batches failed in a row")
        for partition, error in self.consumer.unreadable.items():
            raise Unavailable(f"{self.group_id}: {partition.topic}/{partition.partition} cannot be read: {error}")
        return {"partitions": len(self.consumer.assignment()), "lag": sum(self.lag().values())}

    async def _handle(self, records: list[Received]) -> None:
        self.handling = True
        try:
            await self._take_through(records)
        finally:
            self.handling = False

    async def _take_through(self, records: list[Received]) -> None:
        try:
            await self._handler(records)
        except Unavailable as error:
            await self._read_again(records, error)
        except Exception as error:  # a defect of ours: stop here, loudly, and lose nothing
            _log.exception("batch.defect", group=self.group_id, origin=records[0].origin)
            await self._read_again(records, error)
        else:
            self.failures = 0
            self._failed_loops_forgiven = self._failed_loops()

    async def _read_again(self, records: list[Received], error: Exception) -> None:
        wait = _BACK_OFF[min(self.failures, len(_BACK_OFF) - 1)]
        self.failures += 1
        _log.warning(
            "batch.again",
            group=self.group_id,
            records=len(records),
            error=str(error),
            failures=self.failures,
            wait_s=wait,
        )
        await asyncio.sleep(wait)
        if self.consumer is None:
            return
        for partition, offset in first_offsets(records).items():
            if partition in self.consumer.assignment():
                self.consumer.seek(partition, offset)

    def _failed_loops(self) -> int:
        """FastStream keeps every loop that it has started, and starts another at once when one fails."""
        done = [task for task in self._subscriber.tasks if task.done() and not task.cancelled()]
        return sum(task.exception() is not None for task in done)


def first_offsets(records: Iterable[Received]) -> dict[TopicPartition, int]:
    """The earliest offset of each partition."""
    first: dict[TopicPartition, int] = {}
    for record in records:
        first[partition_of(record)] = min(record.offset, first.get(partition_of(record), record.offset))
    return first


def next_offsets(records: Iterable[Received]) -> dict[TopicPartition, int]:
    """What to commit once all of `records` are done: for each partition the offset after the last."""
    after: dict[TopicPartition, int] = {}
    for record in records:
        after[partition_of(record)] = max(record.offset + 1, after.get(partition_of(record), 0))
    return after
