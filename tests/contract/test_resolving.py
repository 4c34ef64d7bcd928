"""Names are looked up without standing in anybody's way, however long DNS takes to answer."""

import asyncio
import socket
from collections.abc import Iterator
from threading import Event
from typing import Any

import pytest

from libs.common.adapters.http import Answer, open_outbound
from libs.common.adapters.resolving import Resolver
from libs.common.domain.outcome import NotNow
from libs.common.testing.providers import Provider

HANGING = "hang.example"


class Dns:
    """Answers every name but one with this machine's address; that one hangs until it is let go."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.let_go = Event()

    def __call__(self, host: str, port: int, *_: Any) -> list[Any]:
        self.asked.append(host)
        if host == HANGING:
            self.let_go.wait(30)
            raise socket.gaierror(socket.EAI_AGAIN, "no answer")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]


@pytest.fixture
def dns() -> Iterator[Dns]:
    found = Dns()
    yield found
    found.let_go.set()


async def test_a_name_without_an_answer_holds_up_no_other_and_no_thread_of_the_loop(dns: Dns, server: Provider) -> None:
    port = server.url.rpartition(":")[2]
    async with open_outbound(resolver=Resolver(dns, threads=2)) as out:
        hanging = [asyncio.create_task(out.post(f"http://{HANGING}:{port}/", b"", {}, 2)) for _ in range(40)]
        await asyncio.sleep(0)

        answer = await out.post(f"http://other.example:{port}/", b"{}", {}, 5)
        in_thread = await asyncio.wait_for(asyncio.to_thread(lambda: "rendered"), 5)

        assert isinstance(answer, Answer)
        assert in_thread == "rendered"
        assert set(await asyncio.gather(*hanging)) == {NotNow("connect_timeout")}
    assert dns.asked.count(HANGING) == 1


async def test_a_name_that_hung_is_asked_for_again_once_it_has_an_answer(dns: Dns) -> None:
    resolver = Resolver(dns)
    first = asyncio.create_task(resolver.resolve(HANGING, 443))
    await asyncio.sleep(0)
    first.cancel()
    waiting = asyncio.create_task(resolver.resolve(HANGING, 443))
    await asyncio.sleep(0)
    dns.let_go.set()

    for answer in (waiting, resolver.resolve(HANGING, 443)):
        with pytest.raises(socket.gaierror):
            await answer
    await resolver.close()

    assert dns.asked == [HANGING, HANGING]


async def test_a_real_name_has_addresses_and_a_wrong_one_is_not_now(server: Provider) -> None:
    async with open_outbound() as out:
        assert isinstance(await out.post(server.url.replace("127.0.0.1", "localhost"), b"{}", {}, 5), Answer)
        assert await out.post("http://nobody.invalid/", b"", {}, 5) == NotNow("dns")
