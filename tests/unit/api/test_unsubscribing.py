"""One click unsubscribes, without a login (RFC 8058)."""

from typing import Any

import msgspec
import pytest

from libs.common.domain.messages import SubscriberChanged
from libs.common.domain.unsubscribe import Link, link_key, make_token

World = Any

KEY = link_key("0f1e2d3c4b5a69788796a5b4c3d2e1f0")
ONE_CLICK = {"content": "List-Unsubscribe=One-Click", "headers": {"Content-Type": "application/x-www-form-urlencoded"}}


@pytest.fixture
async def ada(world: World) -> Link:
    """Ada, who is subscribed."""
    await world.person()
    told = msgspec.json.decode(world.log.records[-1].value, type=SubscriberChanged)
    return Link(told.tenant, told.subscriber_id)


@pytest.fixture
def url(ada: Link) -> str:
    """Her link."""
    return f"/u/{make_token(KEY, ada)}"


async def active(world: World) -> int:
    return (await world.client.get("/stats")).json()["subscribers"]


async def test_looking_at_the_link_changes_nothing(world: World, url: str) -> None:
    before = len(world.log.records)
    for _ in range(2):
        answer = await world.client.get(url)
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/html")
        assert '<form method="post">' in answer.text
    await world.client.head(url)
    assert (await active(world), len(world.log.records)) == (1, before)


async def test_one_click_ends_it_however_often_it_is_made(world: World, url: str) -> None:
    answers = [await world.client.post(url, **ONE_CLICK) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 200]
    assert answers[0].text == answers[1].text
    assert await active(world) == 0
    assert b'"active":false' in world.log.records[-1].value


async def test_the_button_of_the_page_does_the_same(world: World, url: str) -> None:
    assert (await world.client.post(url)).status_code == 200
    assert await active(world) == 0


async def test_no_cookie_is_set_and_nobody_is_sent_elsewhere(world: World, url: str) -> None:
    for answer in (await world.client.get(url), await world.client.post(url, **ONE_CLICK)):
        assert "set-cookie" not in answer.headers
        assert "location" not in answer.headers
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert answer.headers["referrer-policy"] == "no-referrer"


@pytest.mark.parametrize("change", [lambda url: url[:-1], lambda url: url[:-1] + "!", lambda url: url[:-4] + "AAAA"])
async def test_a_link_that_was_tampered_with_leads_nowhere(world: World, url: str, change: Any) -> None:
    for method in ("GET", "POST"):
        answer = await world.client.request(method, change(url))
        assert answer.status_code == 404
    assert await active(world) == 1


async def test_nor_does_one_that_was_signed_with_another_key(world: World, ada: Link) -> None:
    forged = make_token(link_key("another key"), ada)
    assert (await world.client.post(f"/u/{forged}")).status_code == 404
    assert await active(world) == 1


async def test_somebody_who_is_gone_gets_the_same_answer(world: World, url: str) -> None:
    token = make_token(KEY, Link("acme", "nobody"))
    gone = await world.client.post(f"/u/{token}", **ONE_CLICK)
    assert gone.status_code == 200
    assert gone.text == (await world.client.post(url, **ONE_CLICK)).text
