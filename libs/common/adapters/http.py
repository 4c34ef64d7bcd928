"""The one way out: every HTTP request to somebody else's server is made here, within a total deadline and with a bound
on what is read. Says what happened in the words of `domain.outcome`; what an answer means is the caller's business.

aiohttp, since a total deadline is a cancellation, and httpx 0.28.1 loses pool slots on cancellation.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import aiohttp
from aiohttp.abc import AbstractResolver

from libs.common.adapters.egress import Egress, EgressDenied
from libs.common.adapters.resolving import Resolver
from libs.common.domain.outcome import NotNow, Refused, Unknown

_READ_AT_MOST = 64 * 1024
_DIAL_SHARE = 0.5
"""The part of the deadline in which a connection must stand: past it nothing was sent, which is worth knowing."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server answered. `body` None: it could not be read whole (cut off, too long, too slow)."""

    status: int
    headers: Mapping[str, str]
    body: bytes | None = field(repr=False)


NoAnswer = NotNow | Refused | Unknown
"""Why there is no answer: surely never sent, refused by ourselves, or nobody knows."""

# Order matters: a connector error is also a ClientOSError, and both timeouts are TimeoutErrors.
_FAULTS: tuple[tuple[type[Exception], Callable[[str], NoAnswer], str], ...] = (
    (aiohttp.ClientConnectorDNSError, NotNow, "dns"),
    (aiohttp.ClientConnectorCertificateError, NotNow, "tls"),
    (aiohttp.ClientConnectorSSLError, NotNow, "tls"),
    (aiohttp.ClientConnectorError, NotNow, "connect"),
    (aiohttp.ConnectionTimeoutError, NotNow, "connect_timeout"),
    (aiohttp.InvalidURL, Refused, "invalid_url"),
    (aiohttp.ServerDisconnectedError, Unknown, "disconnected"),
    (aiohttp.ClientOSError, Unknown, "reset"),
    (TimeoutError, Unknown, "timeout"),
    (aiohttp.ClientError, Unknown, "garbage"),
    (ValueError, Refused, "invalid_request"),  # a header that no request may carry
    (OSError, Unknown, "reset"),
)


class Outbound:
    """Makes requests."""

    def __init__(self, session: aiohttp.ClientSession, egress: Egress | None = None) -> None:
        self._session = session
        self._egress = egress

    async def post(self, url: str, body: bytes, headers: Mapping[str, str], deadline: float) -> Answer | NoAnswer:
        """The answer to one POST within `deadline` seconds in all, or why there is none. Never repeated by itself."""
        return await self._request("POST", url, body, headers, deadline)

    async def get(self, url: str, headers: Mapping[str, str], deadline: float) -> Answer | NoAnswer:
        """The answer to one GET within `deadline` seconds in all, or why there is none."""
        return await self._request("GET", url, None, headers, deadline)

    async def _request(
        self, method: str, url: str, body: bytes | None, headers: Mapping[str, str], deadline: float
    ) -> Answer | NoAnswer:
        if self._egress is not None and not self._egress.permits(url):
            return Refused("blocked_url")
        timeout = aiohttp.ClientTimeout(total=None, connect=deadline * _DIAL_SHARE)
        try:
            # The bound is outside of the client: its own time-outs begin anew with every byte that drips in.
            async with asyncio.timeout(deadline) as bound:
                async with self._session.request(
                    method, url, data=body, headers=headers, timeout=timeout, allow_redirects=False
                ) as response:
                    return Answer(response.status, response.headers, await _read(response, bound.when()))
        except tuple(kind for kind, _, _ in _FAULTS) as error:
            return _explain(error)


async def _read(response: aiohttp.ClientResponse, until: float | None) -> bytes | None:
    """The body, or None. The status stands whatever comes after it: a refusal needs no body to be one. The connection
    of a body that was not read to its end is closed, not used again."""
    body = bytearray()
    try:
        async with asyncio.timeout_at(until - 0.01 if until else None):  # before the outer bound, which has no answer
            async for chunk in response.content.iter_any():
                body += chunk
                if len(body) > _READ_AT_MOST:
                    response.close()
                    return None
    except (TimeoutError, aiohttp.ClientError, OSError):
        response.close()
        return None
    return bytes(body)


def _explain(error: Exception) -> NoAnswer:
    if isinstance(error, aiohttp.ClientConnectorError) and isinstance(error.os_error, EgressDenied):
        return Refused("blocked_address")
    return next(make(reason) for kind, make, reason in _FAULTS if isinstance(error, kind))


@asynccontextmanager
async def open_outbound(
    egress: Egress | None = None, *, resolver: AbstractResolver | None = None
) -> AsyncIterator[Outbound]:
    """The way out until the block ends. `egress`: the rules for URLs that customers give; None for those that the
    operator gives. `resolver`: another one than ours, which asks the system. Customers' names are looked up apart from
    the operator's, so that theirs cannot keep his waiting.

    No limit on connections: callers bound their calls themselves, and waiting for a connection would eat the deadline.
    No cookies, no proxy from the environment (which would dial past the guard), no decompression (a small body that
    becomes a huge one), no cached DNS (a provider that moves is found again at once).
    """
    resolver = resolver or Resolver()
    connector = aiohttp.TCPConnector(
        limit=0,
        use_dns_cache=False,
        resolver=resolver,
        socket_factory=egress.open_socket if egress else None,
        keepalive_timeout=30,
    )
    session = aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        trust_env=False,
        auto_decompress=False,
        headers={"User-Agent": "sigmora", "Accept-Encoding": "identity"},
    )
    try:
        yield Outbound(session, egress)
    finally:
        await session.close()
        await resolver.close()
