"""The README's tour works as it stands there: every command is run in order, in one shell, and its output has the shape
that the page shows."""

import asyncio
import json
import os
import re
from pathlib import Path
from typing import Any

import pytest

from deploy.local.platform import Platform
from libs.common.testing.driver import Driver, Person, eventually

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("e2e")]

README = Path(__file__).parent.parent.parent / "README.md"
STEP = "=====step====="


def documents(text: str) -> list[Any]:
    """Every JSON document in a text, one after the other."""
    decoder, found, at = json.JSONDecoder(), [], 0
    while at < len(text):
        if text[at].isspace():
            at += 1
            continue
        document, at = decoder.raw_decode(text, at)
        found.append(document)
    return found


def shape(value: Any) -> Any:
    """A document without its values: keys, and the shape of what lists hold."""
    if isinstance(value, dict):
        return {key: shape(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [shape(inner) for inner in value]
    return type(value).__name__ if not isinstance(value, int | float) else "number"


def steps() -> list[tuple[str, list[Any]]]:
    """The commands of each block of the tour, and the documents shown after it."""
    tour = README.read_text().split("## The tour", 1)[1].split("\n## ", 1)[0]
    blocks = re.findall(r"```(sh|json)\n(.*?)```", tour, re.DOTALL)
    found: list[tuple[str, list[Any]]] = []
    for kind, text in blocks:
        if kind == "sh":
            found.append((text, []))
        else:
            found[-1][1].extend(documents(text))
    return found


async def everything_sent(sigmora: Driver, notification: str) -> None:
    """Wait until a notification is sent on every channel."""

    async def look() -> list[str]:
        answer = await sigmora.api.get(f"/notifications/{notification}", headers={"X-API-Key": sigmora.api_key})
        return [channel["status"] for channel in answer.json()["channels"].values()]

    await eventually(look, lambda states: set(states) == {"SENT"})


async def in_the_feed(sigmora: Driver) -> None:
    """Wait until the event of the tour is in Ada's feed, which may be a tenth of a second after the mail."""
    given = re.search(r'"password": ?"([^"]+)"', README.read_text())
    assert given is not None
    login = await sigmora.api.post("/token", data={"username": "ada@example.com", "password": given[1]})
    ada = Person("ada@example.com", login.json()["access_token"], sigmora.api)
    await eventually(ada.feed, len)


async def test_the_tour_of_the_readme_works_as_it_stands(platform: Platform, sigmora: Driver) -> None:
    assert len(steps()) >= 7
    shell = await asyncio.create_subprocess_exec(
        "bash", "-e", stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, env=dict(os.environ)
    )
    assert shell.stdin is not None
    assert shell.stdout is not None
    answered: list[Any] = []
    for commands, shown in steps():
        here = commands.replace("localhost:8000", f"127.0.0.1:{platform.ports['API_PORT']}")
        here = here.replace("localhost:9001", f"127.0.0.1:{platform.ports['SIMULATOR_EMAIL_PORT']}")
        if "/messages" in commands:
            await sigmora.arrived("ada@example.com")
            await in_the_feed(sigmora)
        if "/notifications/$ID" in commands:
            await everything_sent(sigmora, answered[0]["id"])
        shell.stdin.write(f"{here}\necho; echo {STEP}\n".encode())
        await shell.stdin.drain()
        output = (await asyncio.wait_for(shell.stdout.readuntil(f"{STEP}\n".encode()), 30)).decode()
        answered = documents(output.removesuffix(f"{STEP}\n"))

        assert shape(answered) == shape(shown), commands
        if "/v1/events" in commands and "release-2" in commands:
            await eventually(lambda: sigmora.attempts("ada@example.com"), lambda seen: len(seen) >= 2)
    shell.stdin.close()
    assert await shell.wait() == 0


async def test_the_old_curl_lines_work_as_they_stand(platform: Platform) -> None:
    """What users of the former service have in their scripts and shell histories."""
    api = platform.url("api")
    script = f"""
      JSON='Content-Type: application/json'
      WANTED='{{"topic":["tech"],"priority":["high"],"category":["update"],"release_time":["now"]}}'
      curl -sf -X POST {api}/subscribe -H "$JSON" -d '{{"email":"old@example.com","password":"password123",
        "subscribed":true,"preferences":'"$WANTED"'}}'; echo
      TOKEN=$(curl -sf -X POST {api}/token -d 'username=old@example.com&password=password123' |
        sed 's/.*"access_token":"\\([^"]*\\)".*/\\1/')
      curl -sf -X POST {api}/preferences -H "Authorization: Bearer $TOKEN" -H "$JSON" -d "$WANTED"; echo
      curl -sf {api}/notifications -H "Authorization: Bearer $TOKEN"; echo
      curl -sf -X POST {api}/unsubscribe -H "Authorization: Bearer $TOKEN"; echo
      curl -sf {api}/stats; echo
    """
    shell = await asyncio.create_subprocess_exec("bash", "-ec", script, stdout=asyncio.subprocess.PIPE)
    output, _ = await asyncio.wait_for(shell.communicate(), 30)
    subscribed, preferred, feed, unsubscribed, stats = documents(output.decode())

    assert subscribed == {"message": "Subscribed successfully"}
    assert preferred == {"message": "Preferences updated successfully"}
    assert feed == {"items": [], "next_cursor": None}
    assert unsubscribed == {"message": "Unsubscribed successfully"}
    assert isinstance(stats["subscribers"], int)
