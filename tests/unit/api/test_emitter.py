"""The developer's emitter: random notifications in the old service's words, through the API, whatever happens."""

import asyncio
import json
import random
from collections import Counter
from datetime import timedelta

import httpx

from services.api.emitter import CATEGORIES, PRIORITIES, TOPICS, EmitterSettings, draw_event, emit_forever


def test_what_is_drawn_is_an_event_of_the_old_service_and_everything_comes_up() -> None:
    dice = random.Random(1)
    drawn = [draw_event(dice, str(number)) for number in range(200)]

    for name, words in {"topic": TOPICS, "priority": PRIORITIES, "category": CATEGORIES}.items():
        assert Counter(event[name] for event in drawn).keys() == set(words)
    assert {event["release_time"] for event in drawn} == {"now"}


async def test_an_event_goes_through_the_api_with_the_key_and_an_outage_ends_nothing() -> None:
    enough = asyncio.Event()
    asked: list[httpx.Request] = []

    async def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        if len(asked) == 1:
            raise httpx.ConnectError("away")
        if len(asked) == 3:
            enough.set()
        return httpx.Response(202)

    settings = EmitterSettings(env="dev", emitter_interval=timedelta(milliseconds=1), sigmora_api_key="sk_key")
    async with httpx.AsyncClient(base_url="http://api", transport=httpx.MockTransport(answer)) as http:
        emitting = asyncio.create_task(emit_forever(settings, http, random.Random(1)))
        await asyncio.wait_for(enough.wait(), 5)
        emitting.cancel()

    assert {(each.url.path, each.headers["X-API-Key"]) for each in asked} == {("/v1/events", "sk_key")}
    assert len({json.loads(each.content)["id"] for each in asked}) == len(asked), "no event is another's repetition"
