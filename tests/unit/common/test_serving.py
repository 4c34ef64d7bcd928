"""How a process takes its port."""

import json
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import httpx
import pytest

from deploy.local.ports import find_free_port
from libs.common.serving import serve


def test_a_port_in_use_is_named_with_its_variable(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]

        with pytest.raises(SystemExit) as ended:
            serve(None, "127.0.0.1", port, "ROUTER_PORT")

    assert ended.value.code == 2
    error = capsys.readouterr().err
    assert str(port) in error
    assert "ROUTER_PORT" in error
    assert len(error.splitlines()) == 1


_TELLS_WHAT_CAME = """
import os
import sys
from libs.common import http_protocol
from libs.common.serving import serve

http_protocol._HEAD_SECONDS = float(os.environ.get("HEAD_SECONDS", "10"))

async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive()
        await send({"type": "lifespan.startup.complete"})
        print("up", flush=True)
        await receive()
        await send({"type": "lifespan.shutdown.complete"})
        return
    body, more = b"", True
    while more:
        message = await receive()
        body, more = body + message.get("body", b""), message.get("more_body", False)
    told = {"/": scope["client"][0].encode(), "/echo": body, "/headers": repr(scope["headers"]).encode()}
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": told[scope["path"]]})

serve(app, "127.0.0.1", int(sys.argv[1]), "API_PORT")
"""


@pytest.fixture
def port() -> Iterator[int]:
    """Where a process serves."""
    with serving() as port:
        yield port


@contextmanager
def serving() -> Iterator[int]:
    """A process that serves, and its port."""
    port = find_free_port()
    argv = [sys.executable, "-c", _TELLS_WHAT_CAME, str(port)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        with httpx.Client(transport=httpx.HTTPTransport(retries=5)) as http:  # it listens a moment after its start
            http.get(f"http://127.0.0.1:{port}/")
        yield port
        process.send_signal(signal.SIGTERM)


def test_nobody_is_believed_who_claims_to_call_for_somebody_else(port: int) -> None:
    """uvicorn takes X-Forwarded-For from every local peer; the API let callers choose the address that is limited."""
    answer = httpx.get(f"http://127.0.0.1:{port}/", headers={"X-Forwarded-For": "203.0.113.7"})

    assert answer.text == "127.0.0.1"
    assert "server" not in answer.headers


@pytest.mark.parametrize("begin", [b"GET /", b"GET / HTTP/1.1\r\nHost: x\r\nX-Endless: "])
def test_a_head_without_end_is_refused(port: int, begin: bytes) -> None:
    """httptools takes one of any size: an endless URL filled the memory before anything was counted or limited."""
    with socket.create_connection(("127.0.0.1", port)) as peer:
        peer.settimeout(30)
        answer = b""
        with suppress(ConnectionError):  # it may hang up while we still send
            peer.sendall(begin + b"a" * 4 * 1024 * 1024)
            answer = peer.recv(12)
    assert answer in (b"", b"HTTP/1.1 400")

    long = "a" * 20_000
    assert httpx.get(f"http://127.0.0.1:{port}/", headers={"X-Long": long}).status_code == httpx.codes.OK


@pytest.mark.parametrize(
    "garbage", [b"FOO / HTTP/1.1\r\nHost: x\r\n\r\n", b"GET / HTTP/1.1\r\nX: \x7f\r\n\r\n", b"\x16\x03\x01\r\n\r\n"]
)
def test_what_is_no_request_is_answered_with_a_problem(port: int, garbage: bytes) -> None:
    """It was told in plain text, the only answer of the API that no client could read like the others."""
    head, _, body = exchange(port, garbage).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 ")
    assert b"content-type: application/problem+json" in head
    assert f"content-length: {len(body)}".encode() in head
    problem = json.loads(body)
    assert (problem["type"], problem["status"]) == ("/problems/validation", 400)
    assert problem["errors"][0]["pointer"] == "request"


def exchange(port: int, *parts: bytes) -> bytes:
    """What the server says to these bytes until it hangs up."""
    with socket.create_connection(("127.0.0.1", port)) as peer:
        peer.settimeout(30)
        for part in parts:
            peer.sendall(part)
        answer = b""
        while more := peer.recv(4096):
            answer += more
    return answer


@pytest.mark.parametrize("apart", [False, True])
def test_a_client_that_asks_for_http_2_is_served_all_the_same(port: int, apart: bool) -> None:
    """Java's client does, by default: its body was taken for another protocol, and every POST answered with 400."""
    head = b"POST /echo HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings, close\r\nUpgrade: h2c\r\n"
    head += b"HTTP2-Settings: AAEAAEAAAAIAAAAB\r\nContent-Length: 5\r\n\r\n"

    answer = exchange(port, head, b"hello") if apart else exchange(port, head + b"hello")

    assert answer.startswith(b"HTTP/1.1 200 ")
    assert b"\r\nhello\r\n" in answer


def test_a_header_after_the_body_is_none(port: int) -> None:
    """It was added to those of the request: behind a proxy that takes X-Forwarded-For away it could be smuggled in."""
    head = b"POST /headers HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"

    answer = exchange(port, head, b"5\r\nhello\r\n0\r\nX-Forwarded-For: 203.0.113.7\r\n\r\n")

    assert answer.startswith(b"HTTP/1.1 200 ")
    assert b"x-forwarded-for" not in answer


@pytest.mark.parametrize("begin", [b"", b"GET / HT"])
def test_who_says_nothing_or_never_ends_a_head_is_hung_up_on(begin: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """400 such connections of one address took every descriptor that a process had."""
    monkeypatch.setenv("HEAD_SECONDS", "0.2")
    with serving() as port:
        answer = exchange(port, begin)

    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b'"type":"/problems/too-slow"' in answer


def test_a_head_without_end_is_hung_up_on_after_a_whole_request_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEAD_SECONDS", "0.2")
    with serving() as port:
        answer = exchange(port, b"GET / HTTP/1.1\r\nHost: x\r\n\r\nGET / HT")

    assert answer.startswith(b"HTTP/1.1 200 ")
    assert b"HTTP/1.1 408 " in answer
