"""The interactive documentation at `/docs`: Swagger UI from files of our own, so that it works without the internet,
and the bodies that the framework cannot see because they come in several forms."""

from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from litestar import Controller, Request, Response, get
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin, SwaggerRenderPlugin
from litestar.openapi.spec import (
    Components,
    OpenAPIMediaType,
    Operation,
    Reference,
    RequestBody,
    Schema,
    SecurityScheme,
)
from litestar.params import FromPath

from services.api.describing import complete
from services.api.errors import NotFound

_PATH = "/docs-assets"
_ASSETS = {
    "swagger-ui-bundle.js": "text/javascript",
    "swagger-ui-standalone-preset.js": "text/javascript",
    "swagger-ui.css": "text/css",
    "favicon-32x32.png": "image/png",
}


class AssetsController(Controller):
    """Swagger UI's files: four by name, nothing else of the package."""

    path = _PATH
    include_in_schema = False

    @get("/{name:str}", sync_to_thread=True)
    def asset(self, name: FromPath[str]) -> Response[bytes]:
        """One file."""
        if name not in _ASSETS:
            raise NotFound
        content = (_folder() / name).read_bytes()
        return Response(content, media_type=_ASSETS[name], headers={"Cache-Control": "public, max-age=86400"})


class _Page(SwaggerRenderPlugin):
    def render(self, request: Request[Any, Any, Any], openapi_schema: dict[str, Any]) -> bytes:
        return super().render(request, complete(openapi_schema))


class _Json(JsonRenderPlugin):
    def render(self, request: Request[Any, Any, Any], openapi_schema: dict[str, Any]) -> bytes:
        return super().render(request, complete(openapi_schema))


def openapi() -> OpenAPIConfig:
    """The configuration of `/docs`."""
    swagger = _Page(
        js_url=f"{_PATH}/swagger-ui-bundle.js",
        css_url=f"{_PATH}/swagger-ui.css",
        standalone_preset_js_url=f"{_PATH}/swagger-ui-standalone-preset.js",
        favicon=f"<link rel='icon' type='image/png' href='{_PATH}/favicon-32x32.png'>",
        path="/",
    )
    schemes: dict[str, SecurityScheme | Reference] = {
        "token": SecurityScheme(type="http", scheme="bearer", bearer_format="JWT", description="From `POST /token`."),
        "api_key": SecurityScheme(
            type="apiKey", name="X-API-Key", security_scheme_in="header", description="`sk_…`, a service's key."
        ),
    }
    schemes["provider_token"] = SecurityScheme(
        type="apiKey", name="X-Provider-Token", security_scheme_in="header", description="For receipts."
    )
    return OpenAPIConfig(
        title="Sigmora",
        version="1",
        description="Emit events; subscribe to them; read what arrived. Errors are problem+json (RFC 9457).",
        path="/docs",
        render_plugins=[swagger, _Json()],
        components=Components(security_schemes=schemes),
    )


_EVENT = {
    "topic": "tech",
    "priority": "high",
    "category": "update",
    "title": "Release 2.0",
    "content": "It is out.",
    "data": {"version": "2.0"},
}
_CLOUDEVENT = {
    "specversion": "1.0",
    "id": "42",
    "source": "/releases",
    "type": "com.example.release.v1",
    "topic": "tech",
    "data": {"title": "Release 2.0", "content": "It is out."},
}


def event_operation() -> type[Operation]:
    """Describes the body of `POST /v1/events`."""
    return _operation({"application/json": _EVENT, "application/cloudevents+json": _CLOUDEVENT})


def event_batch_operation() -> type[Operation]:
    """Describes the body of `POST /v1/events:batch`."""
    return _operation({"application/json": {"events": [_EVENT]}, "application/cloudevents-batch+json": [_CLOUDEVENT]})


def _operation(examples: dict[str, Any]) -> type[Operation]:
    body = RequestBody(
        required=True,
        content={media: OpenAPIMediaType(schema=Schema(examples=[example])) for media, example in examples.items()},
    )

    @dataclass
    class WithBody(Operation):
        request_body: RequestBody | None = field(default_factory=lambda: body)

        def __post_init__(self) -> None:
            self.request_body = body

    return WithBody


def _folder() -> Path:
    # The package's own code serves other frameworks; only its files are wanted, so it is found and not imported.
    found = find_spec("swagger_ui")
    if found is None or not found.submodule_search_locations:
        raise NotFound
    return Path(found.submodule_search_locations[0]) / "static"
