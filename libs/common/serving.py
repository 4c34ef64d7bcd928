"""Runs a process's ASGI application. Refuses a port that is in use in one line that names it and its variable, before
anything else is connected."""

import errno
import gc
import socket
import sys
from typing import Any

import uvicorn

from libs.common.http_protocol import BoundedHttp

_GRACE_S = 20
"""For what is under way when the process is told to stop."""


def serve(app: Any, host: str, port: int, variable: str) -> None:
    """Serve until SIGTERM or SIGINT; ends the process with exit code 2 when the port cannot be had.

    On plain asyncio: under uvloop a killed broker can leave aiokafka's consumers dead in a live process.
    """
    listener = _listen(host, port, variable)
    config = uvicorn.Config(
        app,
        loop="asyncio",
        http=BoundedHttp,
        log_config=None,
        access_log=False,
        server_header=False,
        # Whose X-Forwarded-For counts, the application decides (TRUSTED_PROXIES); uvicorn believes every local peer.
        proxy_headers=False,
        timeout_graceful_shutdown=_GRACE_S,
    )
    # What was imported stays for good. Without this the first full collection stops a busy process for 0.15 s.
    gc.collect()
    gc.freeze()
    uvicorn.Server(config).run(sockets=[listener])


def _listen(host: str, port: int, variable: str) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # With its protocol named, accepted connections get TCP_NODELAY from asyncio; without, an answer's body waits 40 ms
    # for the acknowledgement of its head.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        why = "is in use" if error.errno == errno.EADDRINUSE else f"cannot be used ({error.strerror})"
        sys.stderr.write(f"port {port} on {host} {why}; set {variable} to a free one\n")
        raise SystemExit(2) from error
    return listener
