"""Opens the database, and turns the driver's connection errors into `Unavailable`. Knows no collection's meaning."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import timedelta
from typing import Any

import structlog
from beanie import Document, init_beanie
from beanie.exceptions import CollectionWasNotInitialized
from pymongo import AsyncMongoClient
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import AutoReconnect, ConnectionFailure, ExecutionTimeout, NetworkTimeout, WTimeoutError

from libs.common.adapters.mongo.documents import DOCUMENTS
from libs.common.domain.errors import Unavailable
from libs.common.settings import MongoSettings

_log = structlog.get_logger(__name__)

Database = AsyncDatabase[dict[str, Any]]

_AWAY = (AutoReconnect, ConnectionFailure, NetworkTimeout, ExecutionTimeout, WTimeoutError)


@contextmanager
def database_calls() -> Iterator[None]:
    """Around every call to the driver: its connection and time-out errors become `Unavailable`."""
    try:
        yield
    except _AWAY as error:
        raise Unavailable(f"MongoDB: {type(error).__name__}") from error


def collection_of(document: type[Document]) -> AsyncCollection[dict[str, Any]]:
    """The collection of a document; `Unavailable` as long as the database was not opened, for a process that serves
    before its database is there."""
    try:
        found: AsyncCollection[dict[str, Any]] | None = document.get_pymongo_collection()
    except CollectionWasNotInitialized:
        found = None
    if found is None:
        raise Unavailable("MongoDB: not connected yet")
    return found


@asynccontextmanager
async def open_database(
    settings: MongoSettings, *, create_indexes: bool = False, patience: timedelta | None = None
) -> AsyncIterator[Database]:
    """The database, with Beanie's documents bound to it, until the block ends.

    Bound to the running event loop. A server that is away at the start is waited for, with one log line a second: the
    process is not ready in the meantime, and nobody needs to start it again. With `patience`, for somebody who waits at
    a terminal, `Unavailable` is raised once it is over.
    """
    until = None if patience is None else time.monotonic() + patience.total_seconds()
    client: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(
        settings.uri,
        tz_aware=True,
        appname="sigmora",
        timeoutMS=_milliseconds(settings.timeout),
        serverSelectionTimeoutMS=_milliseconds(settings.timeout),
    )
    try:
        database = client[settings.db]
        while True:
            try:
                with database_calls():
                    await init_beanie(
                        database=database, document_models=list(DOCUMENTS), skip_indexes=not create_indexes
                    )
                break
            except Unavailable as error:
                if until is not None and time.monotonic() >= until:
                    raise
                _log.warning("database.waiting", error=str(error))
                await asyncio.sleep(1)
        yield database
    finally:
        _unbind(client)
        await client.close()


def _unbind(client: AsyncMongoClient[dict[str, Any]]) -> None:
    """Whoever asks for a collection from now on is told that there is no database, until one is opened again; otherwise
    it would get a closed client, and an error that looks like a defect of ours. Beanie has no public way."""
    for document in DOCUMENTS:
        bound = document._document_settings
        collection = bound.pymongo_collection if bound is not None else None
        if collection is not None and collection.database.client is client:
            document._document_settings = None


async def create_indexes(settings: MongoSettings, patience: timedelta | None = None) -> list[str]:
    """Creates the indexes that are missing; the collections that have theirs now. Safe to run again. Raises
    `Unavailable` when the database is away for longer than `patience`."""
    async with open_database(settings, create_indexes=True, patience=patience):
        return [document.get_collection_name() for document in DOCUMENTS]


async def ping(database: Database) -> None:
    """Asks the server whether it is there; raises `Unavailable`."""
    with database_calls():
        await database.command("ping")


def _milliseconds(duration: timedelta) -> int:
    return round(duration / timedelta(milliseconds=1))


async def ping_once(settings: MongoSettings) -> None:
    """Connects, asks the server whether it is there, and leaves; raises `Unavailable`."""
    client: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(
        settings.uri,
        timeoutMS=_milliseconds(settings.timeout),
        serverSelectionTimeoutMS=_milliseconds(settings.timeout),
    )
    try:
        await ping(client[settings.db])
    finally:
        await client.close()
