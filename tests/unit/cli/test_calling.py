"""Commands that go through the API: what they ask for, and what they say when the answer is none."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest
from typer.testing import CliRunner, Result

from libs.common.cli.app import app


class Api:
    """Something that answers as it is told, and remembers what was asked."""

    def __init__(self, url: str, asked: list[tuple[str, str, bytes, str]]) -> None:
        self.url = url
        self.asked = asked

    def run(self, *arguments: str, key: str = "sk_test") -> Result:
        """A command against it."""
        environ = {"SIGMORA_API_URL": self.url, "SIGMORA_API_KEY": key, "HTTP_PROXY": "http://127.0.0.1:9"}
        return CliRunner().invoke(app, arguments, env=environ)


@contextmanager
def answering(status: int, body: bytes = b"", **headers: str) -> Iterator[Api]:
    asked: list[tuple[str, str, bytes, str]] = []

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            given = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            asked.append((self.command, self.path, given, self.headers.get("X-API-Key", "")))
            self.send_response(status)
            for name, value in {"Content-Length": str(len(body)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = do_DELETE = answer  # noqa: N815 - the names are http.server's

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - as in the base class
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield Api(f"http://127.0.0.1:{server.server_address[1]}", asked)
        finally:
            server.shutdown()
            thread.join()


def test_emit_sends_one_event_and_says_where_to_look_it_up() -> None:
    with answering(202, b'{"id": "e1", "status": "accepted"}') as api:
        result = api.run("emit", "--topic", "tech", "--title", "Hello", "--data", '{"order": 7}')

    assert result.exit_code == 0
    assert "/v1/events/e1" in result.stdout
    [(method, path, body, key)] = api.asked
    assert (method, path, key) == ("POST", "/v1/events", "sk_test")
    assert json.loads(body) == {
        "topic": "tech",
        "title": "Hello",
        "content": "",
        "lane": "standard",
        "data": {"order": 7},
    }


def test_emit_prints_json_for_programs() -> None:
    with answering(202, b'{"id": "e1"}') as api:
        result = api.run("emit", "--topic", "tech", "--json")

    assert json.loads(result.stdout) == {"id": "e1"}


def test_suppressions_are_listed() -> None:
    page = {"items": [{"id": "s1", "channel": "EMAIL", "reason": "COMPLAINT"}], "next_cursor": None}
    with answering(200, json.dumps(page).encode()) as api:
        result = api.run("suppressions", "list", "--json")

    assert json.loads(result.stdout) == {"items": page["items"]}
    assert api.asked[0][:2] == ("GET", "/v1/suppressions?limit=100")


def test_what_is_lifted_is_one_part_of_the_path_whatever_it_is() -> None:
    """`../../v1/api-keys` made the command delete something else, with the operator's key."""
    with answering(204) as api:
        result = api.run("suppressions", "lift", "../../v1/api-keys?x=#y")

    assert result.exit_code == 0
    assert api.asked[0][:2] == ("DELETE", "/v1/suppressions/..%2F..%2Fv1%2Fapi-keys%3Fx%3D%23y")


def test_an_address_is_lifted_by_its_channel() -> None:
    with answering(204) as api:
        api.run("suppressions", "lift", "ann@example.org", "--channel", "email")

    assert api.asked[0][:3] == (
        "POST",
        "/v1/suppressions/lift",
        b'{"channel":"EMAIL","address":"ann@example.org"}',
    )


@pytest.mark.parametrize(
    ("status", "body", "headers", "said"),
    [
        (302, b"", {"Location": "https://elsewhere.example/"}, "answered 302"),
        (200, b"<html>", {}, "answered 200"),
        (404, b"{}", {}, "no such suppression"),
        (503, b'{"detail": "away"}', {}, "answered 503"),
    ],
)
def test_only_the_status_of_success_is_one(status: int, body: bytes, headers: dict[str, str], said: str) -> None:
    """A redirect was told as "Lifted", and nothing had been."""
    with answering(status, body, **headers) as api:
        result = api.run("suppressions", "lift", "s1")

    assert result.exit_code == 1
    assert said in result.stderr
    assert "Lifted" not in result.stdout


def test_an_answer_that_is_no_json_is_told_in_one_line() -> None:
    with answering(200, b"<html>") as api:
        result = api.run("suppressions", "list")

    assert result.exit_code == 1
    assert "is not JSON" in result.stderr


@pytest.mark.parametrize("url", ["http://127.0.0.1:9", "http://[::1", "nowhere"])
def test_an_api_that_is_not_there_is_told_in_one_line(url: str) -> None:
    result = Api(url, []).run("emit", "--topic", "tech")

    assert result.exit_code == 1
    assert "SIGMORA_API_URL" in result.stderr
    assert "Traceback" not in result.stderr


def test_a_key_that_is_no_ascii_is_refused_by_the_api_and_not_by_a_traceback() -> None:
    with answering(401, b"{}") as api:
        result = api.run("emit", "--topic", "tech", key="schlüssel")

    assert (result.exit_code, "answered 401" in result.stderr) == (1, True)
