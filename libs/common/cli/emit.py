"""`sigmora emit`: sends one event through the public API, as an upstream service would."""

import json
from typing import Annotated, Any

import httpx
import typer

from libs.common.cli.calling import call_api
from libs.common.cli.output import AsJson, fail, show_json


def emit(
    topic: Annotated[str, typer.Option(help="Topic, for example tech or sports/football.")],
    title: Annotated[str, typer.Option(help="Title, or subject.")] = "Hello from Sigmora",
    content: Annotated[str, typer.Option(help="Text.")] = "",
    priority: Annotated[str, typer.Option(help="low, medium, high or your own.")] = "",
    category: Annotated[str, typer.Option(help="general, alert, update or your own.")] = "",
    data: Annotated[str, typer.Option(help="A JSON object that filters can look into.")] = "",
    event_id: Annotated[str, typer.Option("--id", help="Your id of the event: the same id is delivered once.")] = "",
    lane: Annotated[str, typer.Option(help="critical, standard or bulk.")] = "standard",
    as_json: AsJson = False,
) -> None:
    """Send one event, with the API key in SIGMORA_API_KEY (default: the developer's) to the API at
    SIGMORA_API_URL."""
    body: dict[str, Any] = {"topic": topic, "title": title, "content": content, "lane": lane}
    body |= {k: v for k, v in {"priority": priority, "category": category, "id": event_id}.items() if v}
    if data:
        try:
            body["data"] = json.loads(data)
        except ValueError as error:
            fail(f"--data is not JSON: {error}", 2)
        if not isinstance(body["data"], dict):
            fail("--data is not a JSON object", 2)
    accepted = call_api("POST", "/v1/events", httpx.codes.ACCEPTED, json=body)
    if as_json:
        show_json(accepted)
    else:
        typer.echo(f"Accepted: event {accepted['id']}, to be looked up at /v1/events/{accepted['id']}")
