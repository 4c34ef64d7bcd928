"""CACHE_BACKEND=memcache: memcached, shared by all processes. Slow or away, it costs one timeout and is then left alone
for a while; nothing that it does or says raises.

A namespace has a version, which is part of its keys: raising it invalidates them all, for everybody. Versions begin at
the time in milliseconds, so that one that memcached forgot is not given again. An invalidation that does not get
through is remembered here for a time to live: this process does not go by the old version any more.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from hashlib import sha256
from typing import TypeVar

import aiomcache
import structlog
from aiomcache.exceptions import ClientException
from aiomcache.pool import Connection
from cachetools import TTLCache

from libs.common.caching import Lookup, Place
from libs.common.clock import Clock, utc_now

_log = structlog.get_logger(__name__)

T = TypeVar("T")

BACK_OFF = 1.0
"""Seconds in which a memcached that failed is not asked again."""
_MOST_DISTRUSTED = 100_000


class MemcachedCache:
    """Implements `Cache`."""

    def __init__(
        self,
        host: str,
        port: int,
        *,
        ttl: timedelta,
        timeout: timedelta,
        clock: Clock = utc_now,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._where = (host, port)
        self._ttl = max(1, round(ttl.total_seconds()))
        self._timeout = timeout.total_seconds()
        self._clock = clock
        self._monotonic = monotonic
        self._client: _Client | None = None
        self._one_at_a_time = asyncio.Lock()
        self._away_until = float("-inf")
        self._distrusted: TTLCache[str, bool] = TTLCache(_MOST_DISTRUSTED, self._ttl, timer=monotonic)

    async def get_many(self, places: Sequence[Place]) -> Lookup:
        """What is there of these: two round trips, one for the versions and one for the values."""
        trusted = [place for place in dict.fromkeys(places) if place[0] not in self._distrusted]
        if not trusted:
            return Lookup()
        return await self._ask(lambda client: self._read(client, trusted)) or Lookup()

    async def set(self, place: Place, value: bytes, lookup: Lookup) -> None:
        """Keep a value under the version seen before it was read; if that was raised since, nobody finds it."""
        version = lookup.seen.get(place[0])
        if version is not None and place[0] not in self._distrusted:
            await self._ask(lambda client: client.set(_value_key(place, version), value, exptime=self._ttl))

    async def invalidate(self, namespace: str) -> None:
        """Raise the namespace's version. One that memcached does not know has nothing that can be found."""
        self._distrusted[namespace] = True
        if await self._ask(lambda client: _raise_version(client, namespace)):
            self._distrusted.pop(namespace, None)

    async def close(self) -> None:
        """Let the connection go."""
        await self._leave()

    async def _read(self, client: "_Client", places: Sequence[Place]) -> Lookup:
        namespaces = list(dict.fromkeys(namespace for namespace, _ in places))
        seen = dict(zip(namespaces, await client.multi_get(*map(_version_key, namespaces)), strict=True))
        versions = {
            namespace: int(raw) if raw is not None else await self._begin(client, namespace)
            for namespace, raw in seen.items()
        }
        values = await client.multi_get(*(_value_key(place, versions[place[0]]) for place in places))
        found = {place: value for place, value in zip(places, values, strict=True) if value is not None}
        return Lookup(found, versions)

    async def _begin(self, client: "_Client", namespace: str) -> int:
        version = round(self._clock().timestamp() * 1000)
        if await client.add(_version_key(namespace), str(version).encode()):
            return version
        return int(await client.get(_version_key(namespace)) or version)  # somebody else was faster

    async def _ask(self, call: Callable[["_Client"], Awaitable[T]]) -> T | None:
        """The answer, or None when there is none in time: its turn included, since there is one connection, and a slow
        memcached would let all of a process's look-ups stand in line."""
        try:
            async with asyncio.timeout(self._timeout):
                await self._one_at_a_time.acquire()
        except TimeoutError:
            return None
        try:
            # What waited for its turn does not wait for a memcached that turned out to be away.
            return None if self._monotonic() < self._away_until else await self._ask_now(call)
        finally:
            self._one_at_a_time.release()

    async def _ask_now(self, call: Callable[["_Client"], Awaitable[T]]) -> T | None:
        try:
            async with asyncio.timeout(self._timeout):
                self._client = self._client or _Client(*self._where, pool_size=1)
                return await call(self._client)
        except Exception as error:
            self._away_until = self._monotonic() + BACK_OFF
            _log.warning("cache.away", error=type(error).__name__)
            await self._leave()
            return None
        except BaseException:
            await self._leave()
            raise

    async def _leave(self) -> None:
        """Never use a connection again on which an answer may still be on its way: it would be taken for the next."""
        client, self._client = self._client, None
        if client is not None:
            await client.close()


class _Client(aiomcache.Client):
    """aiomcache 0.8.2 reads an answer that ends early for ever, without letting anybody else run."""

    async def _execute_simple_command(self, conn: Connection, raw_command: bytes) -> bytes:
        conn.writer.write(raw_command)
        await conn.writer.drain()
        line = await conn.reader.readline()
        if not line.endswith(b"\r\n"):
            raise ClientException("the answer ended early")
        return line[:-2]


async def _raise_version(client: _Client, namespace: str) -> bool:
    await client.incr(_version_key(namespace), 1)
    return True


def _version_key(namespace: str) -> bytes:
    return b"sigmora:v:" + _digest(namespace)


def _value_key(place: Place, version: int) -> bytes:
    return b"sigmora:%s:%d:%s" % (_digest(place[0]), version, _digest(place[1]))


def _digest(text: str) -> bytes:
    # A key may have 250 bytes and no blanks; ids may have more, and anything.
    return sha256(text.encode()).hexdigest()[:40].encode()
