"""The real servers under the local stack: what they keep over a kill, and how they end."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from pymongo import MongoClient

from deploy.local.probes import mongo_answers
from deploy.local.servers import own_kafka, own_mongo
from deploy.local.shared import join_stack, lend_stack

pytestmark = pytest.mark.integration
CHECKOUT = Path(__file__).resolve().parents[3]


async def test_kafka_keeps_what_it_acknowledged_when_it_is_killed(tmp_path: Path) -> None:
    with own_kafka(tmp_path) as (server, bootstrap):
        await make_topic(bootstrap, "kept")
        producer = AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all")
        await producer.start()
        for number in range(50):
            await producer.send_and_wait("kept", b"%d" % number)
        before = server.pid
        server.kill()
        await producer.stop()
        server.start()
        server.await_ready()
        assert server.pid != before
        assert await read_all(bootstrap, "kept", 50) == [b"%d" % number for number in range(50)]


def test_mongo_keeps_what_it_acknowledged_when_it_is_killed(tmp_path: Path) -> None:
    with own_mongo(tmp_path) as (server, uri):
        with MongoClient[dict[str, int]](uri) as client:
            for number in range(50):
                client["kept"]["numbers"].insert_one({"_id": number})
        server.kill()
        server.start()
        server.await_ready()
        with MongoClient[dict[str, int]](uri) as client:
            assert client["kept"]["numbers"].count_documents({}) == 50


HOLDS_A_RUN = """
import sys, time
from pathlib import Path
from deploy.local.shared import join_stack, lend_stack
run = Path(sys.argv[1])
with lend_stack(run):
    join_stack(run)
    print("up", flush=True)
    time.sleep(600)
"""


def test_the_servers_of_a_test_run_end_when_its_process_is_killed(tmp_path: Path) -> None:
    run = tmp_path / "run"
    command = [sys.executable, "-c", HOLDS_A_RUN, str(run)]
    environ = {**os.environ, "SIGMORA_STACK": "process", "KAFKA_BOOTSTRAP_SERVERS": "", "MONGODB_URI": ""}
    with subprocess.Popen(command, cwd=CHECKOUT, env=environ, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout
        assert holder.stdout.readline() == "up\n"
        uri = json.loads((run / "stack.json").read_text())["mongodb_uri"]
        answers = mongo_answers(uri)
        assert answers()
        holder.kill()
    deadline = time.monotonic() + 30
    while run.exists():
        assert time.monotonic() < deadline, "the run's folder is still there"
        time.sleep(0.05)
    assert not answers()


def test_two_who_ask_get_the_same_servers_and_an_environment_is_taken_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", "broker.example:9092")
    monkeypatch.setenv("MONGODB_URI", "mongodb://db.example/")
    with lend_stack(tmp_path / "run"):
        first, second = join_stack(tmp_path / "run"), join_stack(tmp_path / "run")
    assert first == second
    assert (first.kafka_bootstrap_servers, first.mongodb_uri) == ("broker.example:9092", "mongodb://db.example/")
    assert not (tmp_path / "run").exists()


async def make_topic(bootstrap: str, name: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(name, 1, 1)])
    finally:
        await admin.close()


async def read_all(bootstrap: str, topic: str, count: int) -> list[bytes | None]:
    consumer = AIOKafkaConsumer(topic, bootstrap_servers=bootstrap, auto_offset_reset="earliest")
    await consumer.start()
    try:
        return [(await consumer.getone()).value for _ in range(count)]
    finally:
        await consumer.stop()
