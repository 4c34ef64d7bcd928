"""How a process takes its port."""

import json
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress

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


_TELLS_WHO_CALLS = """
import sys
from libs.common.serving import serve

async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive()
        await send({"type": "lifespan.startup.complete"})
        print("up", flush=True)
        await receive()
        await send({"type": "lifespan.shutdown.complete"})
        return
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": scope["client"][0].encode()})

serve(app, "127.0.0.1", int(sys.argv[1]), "API_PORT")
"""


@pytest.fixture
def port() -> Iterator[int]:
    """Where a process serves."""
    port = find_free_port()
    argv = [sys.executable, "-c", _TELLS_WHO_CALLS, str(port)]
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
    with socket.create_connection(("127.0.0.1", port)) as peer:
        peer.settimeout(30)
        peer.sendall(garbage)
        answer = b""
        while part := peer.recv(4096):
            answer += part
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 ")
    assert b"content-type: application/problem+json" in head
    assert f"content-length: {len(body)}".encode() in head
    problem = json.loads(body)
    assert (problem["type"], problem["status"]) == ("/problems/validation", 400)
    assert problem["errors"][0]["pointer"] == "request"
