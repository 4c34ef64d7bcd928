"""S1: a customer's URL reaches nothing but the public internet. A listener on this machine must get no connection,
whatever the URL says, whatever DNS says, and whatever proxies the environment names."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from aiohttp.abc import AbstractResolver, ResolveResult

from libs.common.adapters.egress import Egress, is_public
from libs.common.adapters.http import Answer, Outbound, open_outbound
from libs.common.domain.channels import Channel
from libs.common.domain.messages import Event
from libs.common.domain.outcome import Accepted, NotNow, Refused
from libs.common.testing.providers import answers, provider
from services.dispatcher.channels.base import Message
from services.dispatcher.channels.webhook import WebhookSender

NOON = datetime(2024, 5, 1, 12, 0, tzinfo=UTC)
EVENT = Event(id="1", source="/shop", time=NOON, tenant="acme", eventid="e1")


@dataclass
class Canary:
    """Listens on every address of this machine and counts who comes."""

    port: int = 0
    visits: list[Any] = field(default_factory=list)


@pytest.fixture
async def canary() -> AsyncIterator[Canary]:
    canary = Canary()

    async def visit(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        canary.visits.append(writer.get_extra_info("peername"))
        writer.close()

    server = await asyncio.start_server(visit, "127.0.0.1", 0)
    canary.port = server.sockets[0].getsockname()[1]
    try:
        sixth = await asyncio.start_server(visit, "::1", canary.port)
    except OSError:  # a machine without IPv6 has nobody to call there
        sixth = server
    try:
        yield canary
    finally:
        server.close()
        sixth.close()


class Stub(AbstractResolver):
    """Answers with one address after another, the last one for ever."""

    def __init__(self, *addresses: str) -> None:
        self.addresses = list(addresses)

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        address = self.addresses.pop(0) if len(self.addresses) > 1 else self.addresses[0]
        kind = socket.AF_INET6 if ":" in address else socket.AF_INET
        return [
            ResolveResult(hostname=host, host=address, port=port, family=kind, proto=0, flags=socket.AI_NUMERICHOST)
        ]

    async def close(self) -> None:
        """Nothing to close."""


@asynccontextmanager
async def guarded(canary: Canary, resolver: AbstractResolver | None = None) -> AsyncIterator[Outbound]:
    """The way out with the canary's port open: nothing but its address can save it."""
    async with open_outbound(Egress(frozenset({canary.port}), allow_http=True), resolver=resolver) as out:
        yield out


async def call(out: Outbound, url: str) -> Any:
    message = Message("d1", "n1", Channel.WEBHOOK, "ann", url, "Hi", "Hello", EVENT, secrets=("whsec_c2VjcmV0",))
    return await WebhookSender(out, timedelta(seconds=1), (), lambda: NOON).send(message)


HOSTS = {
    "loopback": "127.0.0.1",
    "loopback, elsewhere": "127.9.9.9",
    "this host": "0.0.0.0",
    "zero": "0",
    "decimal": "2130706433",
    "hexadecimal": "0x7f.1",
    "octal": "0177.0.0.1",
    "short": "127.1",
    "a name": "localhost",
    "loopback, 6": "[::1]",
    "unspecified, 6": "[::]",
    "mapped": "[::ffff:127.0.0.1]",
    "mapped metadata": "[::ffff:169.254.169.254]",
    "compatible": "[::127.0.0.1]",
    "nat64": "[64:ff9b::7f00:1]",
    "6to4": "[2002:7f00:1::]",
    "teredo": "[2001:0:7f00:1::]",
    "shared": "100.64.0.1",
    "metadata": "169.254.169.254",
    "metadata, 6": "[fd00:ec2::254]",
    "link-local, 6": "[fe80::1]",
    "site-local, 6": "[fec0::1]",
    "private": "10.0.0.1",
    "private, too": "192.168.1.1",
    "private, as well": "172.16.0.1",
    "benchmark": "198.18.0.1",
    "multicast": "224.0.0.1",
    "multicast, 6": "[ff02::1]",
    "reserved": "240.0.0.1",
    "broadcast": "255.255.255.255",
    "documentation": "192.0.2.1",
    "a cloud's own": "168.63.129.16",
    "another cloud's own": "192.0.0.192",
    "documentation, 6": "[3fff::1]",
}


@pytest.mark.parametrize("proxied", [False, True], ids=["", "with a proxy in the environment"])
@pytest.mark.parametrize("host", HOSTS.values(), ids=HOSTS)
async def test_nothing_but_the_public_internet_is_called(
    canary: Canary, monkeypatch: pytest.MonkeyPatch, host: str, proxied: bool
) -> None:
    if proxied:
        for variable in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
            monkeypatch.setenv(variable, f"http://127.0.0.1:{canary.port}")
    async with guarded(canary) as out:
        for scheme in ("http", "https"):
            outcome = await call(out, f"{scheme}://{host}:{canary.port}/")
            # Some odd spellings of an address are no URL even to the client.
            assert outcome in (Refused("blocked_address"), Refused("invalid_url"))
    assert canary.visits == []


@pytest.mark.parametrize("host", [host for host in HOSTS.values() if "." in host or ":" in host])
async def test_a_name_is_judged_by_the_address_behind_it(canary: Canary, host: str) -> None:
    try:
        stub = Stub(socket.getaddrinfo(host.strip("[]"), None, flags=socket.AI_NUMERICHOST)[0][4][0])
    except socket.gaierror:
        pytest.fail(f"{host} is no address")
    async with guarded(canary, stub) as out:
        assert await call(out, f"http://customer.example:{canary.port}/") == Refused("blocked_address")
    assert canary.visits == []


async def test_a_name_that_changes_its_address_after_a_first_look_is_judged_by_the_last(
    canary: Canary, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DNS rebinding: nobody looks a name up but who dials, and each dial is judged by itself."""
    public = "127.0.0.9"  # one of our own stands for a public address: no test calls the internet
    monkeypatch.setattr("libs.common.adapters.egress.is_public", lambda host: host == public or is_public(host))
    async with guarded(canary, Stub(public, "127.0.0.1")) as out:
        assert await call(out, f"http://customer.example:{canary.port}/") == NotNow("connect")
        for _ in range(3):
            assert await call(out, f"http://customer.example:{canary.port}/") == Refused("blocked_address")
    assert canary.visits == []


async def test_a_proxy_of_the_environment_is_not_used(canary: Canary, monkeypatch: pytest.MonkeyPatch) -> None:
    """It would dial in our place, past the guard, even where its own address may be called."""
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{canary.port}")
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{canary.port}")
    async with open_outbound(_open(), resolver=Stub("127.0.0.2")) as out:
        assert await call(out, f"http://customer.example:{canary.port}/") == NotNow("connect")
    assert canary.visits == []


async def test_a_redirect_is_not_followed(canary: Canary) -> None:
    async with provider() as server, open_outbound(_open()) as out:
        server.always = answers("307 Temporary Redirect", Location=f"http://127.0.0.1:{canary.port}/")
        assert await call(out, server.url) == Refused("http_307")
    assert canary.visits == []


@pytest.mark.parametrize(
    "url",
    [
        "ftp://{host}/",
        "file:///etc/passwd",
        "gopher://{host}/",
        "javascript:alert(1)",
        "//{host}/",
        "http://user@{host}/",
        "http://user:word@{host}/",
        "http://203.0.113.1@{host}/",
        "http://203.0.113.1:22/",
        "http://203.0.113.1/",
        "http://203.0.113.1:0/",
        "http://203.0.113.1:99999/",
        "http://203.0.113.1:{port}/\r\nHost: x",
        "http://203.0.113.1:{port}/ x",
        "http://203.0.113.1\\@{host}/",
        "http://ex\u00e4mple.org:{port}/",
        "http://[203.0.113.1:{port}/",
        "http:///",
        "",
        "http://203.0.113.1:{port}/" + "x" * 3000,
    ],
)
async def test_a_url_that_no_webhook_may_have_is_not_tried(canary: Canary, url: str) -> None:
    async with guarded(canary) as out:
        url = url.replace("{host}", f"127.0.0.1:{canary.port}").replace("{port}", str(canary.port))
        assert await call(out, url) == Refused("blocked_url")
    assert canary.visits == []


async def test_https_alone_is_allowed_unless_told_otherwise(canary: Canary) -> None:
    egress = Egress()
    assert egress.permits("https://customer.example/hook")
    assert egress.permits("https://customer.example:443/hook?a=b#c")
    assert not egress.permits("http://customer.example:443/hook")
    assert not egress.permits("https://customer.example@example.org/hook")
    assert not egress.permits("https://:word@example.org/hook")
    assert not egress.permits(f"https://customer.example:{canary.port}/hook")


@pytest.mark.parametrize("host", ["1.1.1.1", "93.184.215.14", "2606:4700::1111", "::ffff:1.1.1.1"])
def test_the_public_internet_is_public(host: str) -> None:
    assert is_public(host)


async def test_a_developer_may_open_it_all() -> None:
    async with provider() as server, open_outbound(_open()) as out:
        assert await call(out, server.url) == Accepted()
        assert isinstance(await out.post(server.url, b"{}", {}, 1.0), Answer)


def _open() -> Egress:
    return Egress(frozenset(range(65536)), allow_http=True, allow_private=True)
