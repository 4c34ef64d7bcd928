"""docs/simulator.md is true: its commands are run against a simulator, and their outputs have the shape it shows."""

import re
import shlex
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp
import msgspec

from deploy.simulator import Settings

PAGE = (Path(__file__).parents[3] / "docs" / "simulator.md").read_text()
PORTS = {"9001": "email", "9002": "sms", "9003": "push", "9004": "webhook"}


class Example(NamedTuple):
    """A curl command, and the JSON shown below it if there is one."""

    method: str
    url: str
    headers: dict[str, str]
    data: str | None
    shown: Any


def examples() -> list[Example]:
    found = []
    for block in re.finditer(r"```bash\n(.*?)```\n(?:```json\n(.*?)```)?", PAGE, re.DOTALL):
        commands = [line for line in block[1].replace("\\\n", " ").splitlines() if line.startswith("curl ")]
        for n, command in enumerate(commands, 1):
            last = n == len(commands)
            found.append(parse(command, msgspec.json.decode(block[2]) if last and block[2] else None))
    return found


def parse(command: str, shown: Any) -> Example:
    """Only the options that the page uses; another one fails the test, so that it is not forgotten here."""
    words = iter(shlex.split(command)[1:])
    method, url, headers, data = None, "", {}, None
    for word in words:
        match word:
            case "-s":
                pass
            case "-X":
                method = next(words)
            case "-H":
                name, _, value = next(words).partition(": ")
                headers[name] = value
            case "-d":
                data = next(words)
            case _ if word.startswith("http://127.0.0.1:"):
                url = word
            case _:
                raise AssertionError(f"{word} in {command}")
    return Example(method or ("POST" if data else "GET"), url, headers, data, shown)


def shape(value: Any) -> Any:
    """The names and their nesting, without the values."""
    if isinstance(value, dict):
        return {name: shape(inner) for name, inner in value.items() if name != "headers"}
    return [shape(inner) for inner in value] if isinstance(value, list) else None


async def test_every_command_of_the_page_does_what_it_shows(start: Any, http: aiohttp.ClientSession) -> None:
    away = await start()  # stands for Sigmora: it answers receipts with 404, which is an answer
    sim = await start(callback_base_url=away.url("email"))
    found = examples()
    for example in found:
        port = example.url[len("http://127.0.0.1:") :][:4]
        url = example.url.replace(f"http://127.0.0.1:{port}", sim.url(PORTS[port]))
        async with http.request(example.method, url, headers=example.headers, data=example.data) as answer:
            body = await answer.read()
        expected = example.shown["status"] if is_problem(example.shown) else range(200, 300)

        assert answer.status in (expected if isinstance(expected, range) else [expected]), (example, body)
        if example.shown is not None:
            assert shape(msgspec.json.decode(body)) == shape(example.shown), example

    assert len(found) >= 20


def is_problem(shown: Any) -> bool:
    return isinstance(shown, dict) and "title" in shown


def test_every_setting_is_described() -> None:
    for name, field in Settings.model_fields.items():
        assert f"| `SIMULATOR_{name.upper()}` |" in PAGE
        assert field.description
        assert field.description in PAGE
