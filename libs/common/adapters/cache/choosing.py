"""Chooses the cache that the settings name."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

from libs.common.adapters.cache.memcached import MemcachedCache
from libs.common.adapters.cache.memory import MemoryCache
from libs.common.adapters.cache.nothing import NoCache
from libs.common.caching import Cache
from libs.common.settings import CacheSettings


@asynccontextmanager
async def open_cache(settings: CacheSettings) -> AsyncIterator[Cache]:
    """The cache, until the block ends. Connects when it is first asked."""
    ttl = timedelta(seconds=settings.cache_ttl_seconds)
    if settings.cache_backend == "none" or not ttl:
        yield NoCache()
    elif settings.cache_backend == "lru":
        yield MemoryCache(ttl)
    else:
        timeout = timedelta(milliseconds=settings.memcache_timeout_ms)
        shared = MemcachedCache(settings.memcache_host, settings.memcache_port, ttl=ttl, timeout=timeout)
        try:
            yield shared
        finally:
            await shared.close()
