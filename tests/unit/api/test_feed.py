"""A person reads what arrived, page by page."""

from datetime import timedelta
from typing import Any

import pytest

from libs.common.domain.shown import FeedItem

World = Any


def fill(world: World, count: int, subscriber_id: str) -> None:
    """Puts `count` items into a feed, three at a time in one instant."""
    for n in range(count):
        made = world.now + timedelta(seconds=n // 3)
        item = FeedItem(id=f"n{n:03}", event_id=f"e{n}", title=f"Title {n}", content="", topic="tech", created_at=made)
        world.feed.items["default", subscriber_id].append(item)


def owner(world: World) -> str:
    """The one who subscribed first."""
    return str(next(iter(world.accounts._stored.values())).subscriber_id)


async def test_pages_hold_every_notification_once_newest_first(world: World) -> None:
    me = await world.person()
    fill(world, 25, owner(world))

    seen: list[str] = []
    cursor: str | None = None
    while True:
        params = {"limit": 10, **({"cursor": cursor} if cursor else {})}
        page = (await world.client.get("/notifications", params=params, headers=me)).json()
        seen += [item["id"] for item in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
        if len(seen) == 10:  # one more arrives between two pages
            late = FeedItem(id="zzz", event_id="z", title="", content="", created_at=world.now + timedelta(hours=1))
            world.feed.items["default", owner(world)].append(late)

    assert seen == [f"n{n:03}" for n in reversed(range(25))]


async def test_an_item_says_what_happened(world: World) -> None:
    me = await world.person()
    fill(world, 1, owner(world))

    [item] = (await world.client.get("/notifications", headers=me)).json()["items"]

    assert item == {
        "id": "n000",
        "event_id": "e0",
        "title": "Title 0",
        "content": "",
        "topic": "tech",
        "priority": "",
        "category": "",
        "data": None,
        "created_at": "2030-01-01T12:00:00Z",
        "read_at": None,
    }


async def test_a_feed_is_its_owners_alone(world: World) -> None:
    await world.person("ada@example.com")
    fill(world, 3, owner(world))
    eve = await world.person("eve@example.com")

    assert (await world.client.get("/notifications", headers=eve)).json() == {"items": [], "next_cursor": None}


@pytest.mark.parametrize(
    "query",
    [
        "limit=0",
        "limit=-1",
        "limit=101",
        "limit=1000000000",
        "limit=x",
        "cursor=x",
        "cursor=",
        "cursor=W10",
        "cursor=%00",
    ],
)
async def test_a_page_that_makes_no_sense_is_refused(world: World, query: str) -> None:
    me = await world.person()

    answer = await world.client.get(f"/notifications?{query}", headers=me)

    assert answer.status_code == 400, answer.text
    assert answer.json()["errors"][0]["pointer"] == query.split("=")[0]
