"""Sends a random notification now and then, for a developer who wants to see something move. It goes in through the
public API like anybody's, and runs with `ENV=dev` only."""

import asyncio
import random
import sys
import uuid
from datetime import timedelta

import httpx
import structlog
from pydantic import Field

from libs.common.observability.logging import configure_logging
from libs.common.settings import Duration, EnvironmentSettings, read_settings

_log = structlog.get_logger(__name__)

TOPICS = ("tech", "sports", "news")
PRIORITIES = ("low", "medium", "high")
CATEGORIES = ("general", "alert", "update")


class EmitterSettings(EnvironmentSettings):
    """What the emitter needs."""

    emitter_interval: Duration = Field(timedelta(seconds=60), description="Time between two random notifications.")
    sigmora_api_url: str = Field("http://127.0.0.1:8000", description="The API, for what goes through it.")
    sigmora_api_key: str = Field(
        "", description="API key for that; the command line has the developer's by default.", repr=False
    )


def draw_event(dice: random.Random, event_id: str) -> dict[str, object]:
    """A notification as the old service made them: one topic, one priority, one category, to be sent now."""
    topic, priority, category = dice.choice(TOPICS), dice.choice(PRIORITIES), dice.choice(CATEGORIES)
    return {
        "id": event_id,
        "source": "/emitter",
        "topic": topic,
        "priority": priority,
        "category": category,
        "title": f"{priority.capitalize()} {category} in {topic}",
        "content": f"A {category} about {topic}, made up for development.",
        "release_time": "now",
    }


async def emit_forever(settings: EmitterSettings, http: httpx.AsyncClient, dice: random.Random) -> None:
    """Send one event, wait, again. An API that is away is tried again with the next one."""
    while True:
        event = draw_event(dice, str(uuid.uuid4()))
        try:
            answer = await http.post("/v1/events", json=event, headers={"X-API-Key": settings.sigmora_api_key})
            _log.info("event.emitted", source_id=event["id"], topic=event["topic"], status=answer.status_code)
        except httpx.HTTPError as error:
            _log.warning("event.not_emitted", error=type(error).__name__)
        await asyncio.sleep(settings.emitter_interval.total_seconds())


async def _run(settings: EmitterSettings) -> None:
    async with httpx.AsyncClient(base_url=settings.sigmora_api_url, timeout=10) as http:
        await emit_forever(settings, http, random.Random())  # noqa: S311 - nothing secret is drawn


def main() -> int:
    """Run until stopped; refuses outside of development."""
    settings = read_settings(EmitterSettings)
    if not settings.is_dev:
        sys.stderr.write("ENV: the emitter makes up notifications and runs with ENV=dev only\n")
        return 2
    configure_logging("emitter", settings.log_level)
    try:
        asyncio.run(_run(settings))
    except KeyboardInterrupt:
        return 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
