"""Sees whether a server does its work, not only whether its port answers."""

import asyncio
import http.client
import logging
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError
from pymongo import MongoClient
from pymongo.errors import PyMongoError

from deploy.local.program import Probe

_TIMEOUT_SECONDS = 2


def kafka_answers(bootstrap_servers: str) -> Probe:
    """Ready when a group operation works.

    After a start the port, and metadata, answer before the group coordinator does; the first consumer would fail.
    """

    async def ask() -> None:
        admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap_servers, request_timeout_ms=_TIMEOUT_SECONDS * 1000)
        try:
            await admin.start()
            await admin.list_consumer_group_offsets("readiness-probe")
        finally:
            await admin.close()

    def probe() -> bool:
        logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # a server that is not up yet is no error here
        try:
            # in a thread of its own: whoever asks may be inside an event loop
            with ThreadPoolExecutor(1) as thread:
                thread.submit(lambda: asyncio.run(asyncio.wait_for(ask(), _TIMEOUT_SECONDS))).result()
        except (KafkaError, OSError, TimeoutError, ValueError):  # ValueError: what was given is no address
            return False
        return True

    return probe


def mongo_answers(uri: str) -> Probe:
    """Ready when a ping is answered by a server that takes writes."""

    def probe() -> bool:
        try:
            with MongoClient[dict[str, object]](uri, serverSelectionTimeoutMS=_TIMEOUT_SECONDS * 500) as client:
                return bool(client.admin.command("hello").get("isWritablePrimary"))
        except (PyMongoError, ValueError):  # ValueError: a port that is none
            return False

    return probe


def http_answers(url: str) -> Probe:
    """Ready when the URL answers with a 2xx. Goes straight to the address: no proxy, no redirects."""
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or 80

    def probe() -> bool:
        connection = http.client.HTTPConnection(host, port, timeout=_TIMEOUT_SECONDS)
        try:
            connection.request("GET", parts.path or "/")
            return 200 <= connection.getresponse().status < 300
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    return probe
