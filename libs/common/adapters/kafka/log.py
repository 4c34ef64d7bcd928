"""The log as Kafka keeps it: appends records with `acks=all` by one idempotent producer. Knows no topic's meaning."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, MessageSizeTooLargeError, OutOfOrderSequenceNumber, ProducerFenced

from libs.common.adapters.kafka.security import client_arguments
from libs.common.adapters.kafka.sending import send
from libs.common.domain.errors import Poison, Unavailable
from libs.common.ports import Record
from libs.common.settings import KafkaSettings
from libs.common.topics import HEADROOM, LARGEST_RECORD

_log = structlog.get_logger(__name__)

_LINGER_MS = 3
"""Gathers concurrent appends into one request; measured: under 5 ms it costs less latency than it saves in requests."""
_BATCH_BYTES = 128 * 1024


class KafkaLog:
    """Implements `ports.Log`.

    A producer can be left failing for good by an out-of-order sequence number
    (https://github.com/aio-libs/aiokafka/issues/1017), or by whatever ends its sender: it is then made anew.
    """

    def __init__(self, settings: KafkaSettings) -> None:
        self._settings = settings
        self._timeout = settings.request_timeout.total_seconds()
        self._producer: AIOKafkaProducer | None = None
        self._starting = asyncio.Lock()

    async def append(self, records: Sequence[Record]) -> None:
        """Append all of them and wait for every acknowledgement; see `ports.Log`."""
        try:
            # The bound is ours: with idempotence aiokafka never gives a batch up. Giving up does not recall the
            # records, which is why only derived ids are ever written.
            async with asyncio.timeout(self._timeout):
                producer = await self._started()
                futures = [await send(producer, record) for record in records]
                done = await asyncio.gather(*futures, return_exceptions=True)
        except TimeoutError as error:
            raise Unavailable("Kafka: no acknowledgement in time") from error
        except MessageSizeTooLargeError as error:
            raise Poison("record too large for the log") from error
        except KafkaError as error:
            await self._replace_if_broken(error)
            raise Unavailable(f"Kafka: {type(error).__name__}") from error
        for result in done:
            if isinstance(result, MessageSizeTooLargeError):
                raise Poison("record too large for the log") from result
            if isinstance(result, BaseException):
                await self._replace_if_broken(result)
                raise Unavailable(f"Kafka: {type(result).__name__}") from result

    async def ready(self) -> None:
        """Asks a broker for metadata; raises `Unavailable`."""
        try:
            async with asyncio.timeout(self._timeout):
                producer = await self._started()
                await producer.client.fetch_all_metadata()
        except (TimeoutError, KafkaError, OSError) as error:
            raise Unavailable(f"Kafka: {type(error).__name__}") from error

    async def close(self) -> None:
        """Flush and disconnect; records already acknowledged are safe without it."""
        producer, self._producer = self._producer, None
        if producer is not None:
            try:
                async with asyncio.timeout(self._timeout):
                    await producer.stop()
            except (TimeoutError, KafkaError) as error:
                _log.warning("log.close_failed", error=type(error).__name__)

    async def _started(self) -> AIOKafkaProducer:
        if self._producer is not None and not _ended(self._producer):
            return self._producer
        async with self._starting:
            if self._producer is not None and _ended(self._producer):
                _log.error("log.producer_replaced", error="its sender has ended")
                await self.close()
            if self._producer is None:
                producer = AIOKafkaProducer(
                    **client_arguments(self._settings),
                    acks="all",
                    enable_idempotence=True,
                    linger_ms=_LINGER_MS,
                    max_batch_size=_BATCH_BYTES,
                    max_request_size=LARGEST_RECORD + HEADROOM,
                    compression_type="zstd",
                )
                try:
                    await producer.start()
                except BaseException:
                    await producer.stop()
                    raise
                self._producer = producer
            return self._producer

    async def _replace_if_broken(self, error: BaseException) -> None:
        if isinstance(error, OutOfOrderSequenceNumber | ProducerFenced):
            _log.error("log.producer_replaced", error=type(error).__name__)
            await self.close()


def _ended(producer: AIOKafkaProducer) -> bool:
    """Whether nothing that is given to it will ever be sent; aiokafka itself goes on taking records."""
    return bool(producer._sender.sender_task.done())  # no public way shows it


@asynccontextmanager
async def open_log(settings: KafkaSettings) -> AsyncIterator[KafkaLog]:
    """The log, connected at the first append, until the block ends."""
    log = KafkaLog(settings)
    try:
        yield log
    finally:
        await log.close()
