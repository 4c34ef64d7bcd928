"""`sigmora doctor`: is everything reachable, what is not, and what to do about it. Changes nothing."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

import httpx
import typer

from libs.common.adapters.kafka.admin import plan_topics
from libs.common.adapters.kafka.log import open_log
from libs.common.adapters.mongo.connect import ping_once
from libs.common.cli.output import AsJson, show_json, show_table
from libs.common.cli.settings import ClientSettings
from libs.common.domain.errors import Unavailable
from libs.common.settings import KafkaSettings, MongoSettings, TopicSettings, read_settings


@dataclass(frozen=True)
class Finding:
    """What was looked at, whether it is well, what was seen, and what to do if it is not."""

    part: str
    ok: bool
    seen: str
    remedy: str = ""


def doctor(as_json: AsJson = False) -> None:
    """Look at Kafka, its topics, MongoDB and the services. Exit code 0 when all is well, 1 otherwise."""
    findings = asyncio.run(_examine())
    if as_json:
        show_json({"ok": all(f.ok for f in findings), "findings": findings})
    else:
        rows = [
            {"part": f.part, "": "ok" if f.ok else "FAULT", "seen": f.seen, "what to do": f.remedy} for f in findings
        ]
        show_table("Sigmora", rows, ("part", "", "seen", "what to do"))
    if not all(finding.ok for finding in findings):
        raise typer.Exit(1)


async def _examine() -> list[Finding]:
    kafka, mongo, names = read_settings(KafkaSettings), read_settings(MongoSettings), read_settings(TopicSettings)
    client = read_settings(ClientSettings)
    services = {"api": client.api_url, "router": client.router_url, "dispatcher": client.dispatcher_url}

    async def topics() -> str:
        if changes := await plan_topics(kafka, names):
            raise Unavailable(f"{len(changes)} differences, first: {changes[0].topic} ({changes[0].action})")
        return "as they should be"

    async def log() -> str:
        async with open_log(kafka) as opened:
            await opened.ready()
        return kafka.bootstrap_servers

    async def database() -> str:
        await ping_once(mongo)
        return mongo.db

    checks: dict[str, tuple[Callable[[], Awaitable[str]], str]] = {
        "kafka": (log, f"start Kafka (make run does), or set KAFKA_BOOTSTRAP_SERVERS (now {kafka.bootstrap_servers})"),
        "topics": (topics, "sigmora topics apply"),
        "mongodb": (database, "start MongoDB (make run does), or set MONGODB_URI"),
    }
    found = {part: await _look(part, check, remedy) for part, (check, remedy) in checks.items()}
    if not found["kafka"].ok:  # nobody knows of topics then, and nothing can be done about them
        found["topics"] = replace(found["topics"], remedy="look again once Kafka is there")
    findings = list(found.values())
    async with httpx.AsyncClient(timeout=5, trust_env=False) as http:
        findings += [await _ask(http, part, url) for part, url in services.items()]
    return findings


async def _look(part: str, check: Callable[[], Awaitable[str]], remedy: str) -> Finding:
    try:
        return Finding(part, True, await check())
    except Unavailable as error:
        return Finding(part, False, str(error), remedy)


async def _ask(http: httpx.AsyncClient, part: str, url: str) -> Finding:
    try:
        answer = await http.get(f"{url}/readyz")
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        return Finding(
            part,
            False,
            f"{url}: {type(error).__name__}",
            f"start everything (make run), or python -m services.{part} with its settings",
        )
    if answer.status_code != httpx.codes.OK:
        return Finding(part, False, answer.text[:300], "see its log; the checks above name what it waits for")
    return Finding(part, True, url)
