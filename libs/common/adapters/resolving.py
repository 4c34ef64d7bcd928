"""Looks names up in threads of its own, one for each name at a time. The event loop has few, for everybody (6 on 2
cores), and a look-up cannot be broken off: eight calls to one name whose servers do not answer took them all, and
with them every other look-up and everything that is rendered, for as long as the system tries (10 s and more)."""

import asyncio
import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from aiohttp.abc import AbstractResolver, ResolveResult

_THREADS = 32
"""Names that may be in trouble at the same time; a thread is made when it is needed."""
_FLAGS = socket.AI_ADDRCONFIG

_Name = tuple[str, int, socket.AddressFamily]


class Resolver(AbstractResolver):
    """The system's resolver. Remembers nothing: a provider that moves is found again at once."""

    def __init__(self, look_up: Callable[..., list[Any]] = socket.getaddrinfo, threads: int = _THREADS) -> None:
        self._look_up = look_up
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="resolver")
        self._under_way: dict[_Name, asyncio.Future[list[Any]]] = {}

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Every address of a name; raises OSError when it has none."""
        name = (host, port, family)
        if (looking := self._under_way.get(name)) is None:
            looking = self._under_way[name] = self._begin(name)
        # Who gives up does not take it from the others, nor from who asks next.
        found = await asyncio.shield(looking)
        return [_address(host, *each) for each in found]

    def _begin(self, name: _Name) -> asyncio.Future[list[Any]]:
        host, port, family = name
        looking = asyncio.get_running_loop().run_in_executor(
            self._threads, self._look_up, host, port, family, socket.SOCK_STREAM, 0, _FLAGS
        )

        def forget(done: asyncio.Future[list[Any]]) -> None:
            self._under_way.pop(name, None)
            if not done.cancelled():
                done.exception()  # looked at, so that nobody is warned of it when all have given up

        looking.add_done_callback(forget)
        return looking

    async def close(self) -> None:
        """Begin no look-up any more; those under way end by themselves."""
        self._threads.shutdown(wait=False, cancel_futures=True)


def _address(
    hostname: str, family: socket.AddressFamily, _kind: int, proto: int, _name: str, address: Any
) -> ResolveResult:
    return ResolveResult(
        hostname=hostname,
        host=address[0],
        port=address[1],
        family=family,
        proto=proto,
        flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
    )
