"""Calls the public API for commands: one answer of the status that means success, or one line that says what is wrong.
Knows no route's meaning."""

from typing import Any

import httpx

from libs.common.cli.output import fail
from libs.common.cli.settings import ClientSettings
from libs.common.settings import read_settings

_SECONDS = 10.0


def call_api(method: str, path: str, success: int, *, missing: str = "", **request: Any) -> Any:
    """The answer's JSON; None for an answer without a body. Ends the command with exit code 1 for any other status
    (a redirect too), with `missing` as its words for a 404."""
    settings = read_settings(ClientSettings)
    try:
        # No proxy of the environment: the API is what SIGMORA_API_URL says, often on this machine.
        with httpx.Client(base_url=settings.api_url, trust_env=False, timeout=_SECONDS) as client:
            answer = client.request(method, path, headers={b"X-API-Key": settings.api_key.encode()}, **request)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        fail(f"The API at SIGMORA_API_URL={settings.api_url} does not answer ({type(error).__name__}).")
    if answer.status_code == httpx.codes.NOT_FOUND and missing:
        fail(missing)
    if answer.status_code != success:
        fail(f"The API at SIGMORA_API_URL={settings.api_url} answered {answer.status_code}: {answer.text[:1000]}")
    try:
        return answer.json() if answer.content else None
    except ValueError:
        fail(f"What answers at SIGMORA_API_URL={settings.api_url} is no API of Sigmora: its answer is not JSON.")
