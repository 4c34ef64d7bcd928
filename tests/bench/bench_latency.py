"""How long from `202` to the provider: real processes, real Kafka, the durable database server of `make run`, the
simulator as the provider, all on this machine. Events are sent at an even rate whatever the answers do (open
loop), so a stall shows in the figures instead of slowing the load.

    python -m tests.bench.bench_latency --rate 50 --seconds 60

The load is sent by aiohttp: it shares the cores with what is measured, and httpx would cost a multiple of it.
"""

import argparse
import asyncio
import json
import os
import platform as machine
import secrets
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import aiohttp

from deploy.local.platform import Platform, open_platform
from deploy.local.servers import StackAddress, own_kafka, own_mongo
from libs.common.settings import TopicSettings
from libs.common.testing.driver import Driver, eventually
from libs.common.testing.log_reader import LogReader

Report = dict[str, Any]


async def measure(platform: Platform, processes: Mapping[str, int | None], rate: float, seconds: float) -> Report:
    """Latencies in milliseconds of every event sent in `seconds`, and what an event cost each process."""
    topics = TopicSettings.model_validate({"topic_prefix": platform.environ["TOPIC_PREFIX"]}).topics
    urls = (platform.url("api"), platform.url("simulator"), platform.url("router"))
    driver = Driver(*urls, platform.api_key, LogReader(platform.environ["KAFKA_BOOTSTRAP_SERVERS"]), topics)
    try:
        topic = secrets.token_hex(6)
        person = await driver.subscribe(topic=[topic])
        await load(driver, topic, rate, 5, {})  # connections, code paths, caches
        accepted: dict[str, int] = {}
        before = {name: cpu_seconds(pid) for name, pid in processes.items()}
        await load(driver, topic, rate, seconds, accepted)

        async def arrived() -> dict[str, int]:
            mails = await driver.inbox(person.email)
            return {mail["metadata"]["event_id"]: mail["at_ns"] for mail in mails}

        inbox = await eventually(arrived, lambda seen: accepted.keys() <= seen.keys(), patience=60)
        spent = {name: cpu_seconds(pid) - before[name] for name, pid in processes.items()}
        return {
            **summarize([(inbox[event] - at) / 1e6 for event, at in accepted.items()], len(inbox)),
            "cpu_ms_per_event": {name: round(1000 * each / len(accepted), 1) for name, each in spent.items()},
        }
    finally:
        await driver.close()


async def load(driver: Driver, topic: str, rate: float, seconds: float, accepted: dict[str, int]) -> None:
    """Send at an even rate; note when each event's 202 came back."""
    url, key = str(driver.api.base_url.join("/v1/events")), {"X-API-Key": driver.api_key}

    async def one(number: int) -> None:
        event = {"topic": topic, "title": f"number {number}", "content": "x" * 300}
        async with upstream.post(url, json=event) as answer:
            body = await answer.json()
        accepted[body["id"]] = time.time_ns()

    start = time.monotonic()
    async with aiohttp.ClientSession(headers=key, raise_for_status=True) as upstream, asyncio.TaskGroup() as sending:
        for number in range(round(rate * seconds)):
            await asyncio.sleep(max(0.0, start + number / rate - time.monotonic()))
            sending.create_task(one(number))


def cpu_seconds(pid: int | None) -> float:
    """Processor time that a process has used, all its threads together (Linux)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def summarize(latencies: list[float], unique: int) -> dict[str, Any]:
    """The distribution, in milliseconds."""
    cuts = statistics.quantiles(latencies, n=1000, method="inclusive")
    return {
        "events": len(latencies),
        "unique": unique,
        **{name: round(cuts[at], 1) for name, at in {"p50": 499, "p90": 899, "p99": 989, "p99.9": 998}.items()},
        "max": round(max(latencies), 1),
    }


def main() -> int:
    """Run and print one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rate", type=float, default=50, help="events a second")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--rounds", type=int, default=1)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        with (
            own_kafka(path / "kafka") as (kafka, servers),
            own_mongo(path / "mongo") as (mongo, uri),
            open_platform(path / "platform", StackAddress(servers, uri)) as platform,
        ):
            processes = {name: server.pid for name, server in platform.servers.items()}
            processes |= {"kafka": kafka.pid, "mongo": mongo.pid, "load": os.getpid()}
            for _ in range(given.rounds):
                figures = asyncio.run(measure(platform, processes, given.rate, given.seconds))
                report = {"rate": given.rate, **figures, "python": machine.python_version()}
                sys.stdout.write(json.dumps(report) + "\n")
                sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
