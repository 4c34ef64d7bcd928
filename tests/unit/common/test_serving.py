"""How a process takes its port."""

import signal
import socket
import subprocess
import sys

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


def test_nobody_is_believed_who_claims_to_call_for_somebody_else() -> None:
    """uvicorn takes X-Forwarded-For from every local peer; the API let callers choose the address that is limited."""
    port = find_free_port()
    argv = [sys.executable, "-c", _TELLS_WHO_CALLS, str(port)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        url, claimed = f"http://127.0.0.1:{port}/", {"X-Forwarded-For": "203.0.113.7"}
        with httpx.Client(transport=httpx.HTTPTransport(retries=5)) as http:  # it listens a moment after its start
            answer = http.get(url, headers=claimed)
        process.send_signal(signal.SIGTERM)

    assert answer.text == "127.0.0.1"
    assert "server" not in answer.headers
