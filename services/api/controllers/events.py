"""Events come in: one or many, as CloudEvents or in the plain form. What an event is, is decided in
`domain/intake.py`; here it is only found out in which form the request is."""

from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import unquote

from litestar import Controller, Response, get, post
from litestar.params import FromPath

from libs.common.domain import event_words, intake
from libs.common.domain.api_keys import Scope
from libs.common.domain.errors import Flaw, InvalidInput
from libs.common.domain.json_text import decode_json
from libs.common.domain.json_values import MAX_FLAWS
from libs.common.domain.messages import Event
from services.api.accepting import Events, accepted
from services.api.documentation import event_batch_operation, event_operation
from services.api.errors import NotFound, TooLarge, UnsupportedMedia
from services.api.given import GivenEventProgress, GivenEvents
from services.api.idempotency import idempotency_key
from services.api.progress import ShownProgress
from services.api.security.access import ServiceRequest, require_scope

MAX_BATCH_BYTES = 5 * 1024 * 1024
MAX_BATCH = 1_000

_STRUCTURED = "application/cloudevents+json"
_BATCH = "application/cloudevents-batch+json"
_JSON = "application/json"


class EventsController(Controller):
    """What upstream services emit. 202 means that it is on the log."""

    path = "/v1"
    tags = ("events",)
    guards = (require_scope(Scope.EVENTS),)
    security = ({"api_key": []},)

    @post(
        "/events",
        status_code=202,
        request_max_body_size=MAX_BATCH_BYTES,
        summary="Emit an event",
        operation_class=event_operation(),
    )
    async def emit(self, request: ServiceRequest, events: GivenEvents) -> Response[dict[str, Any]]:
        """The same `Idempotency-Key` (or source and id) with the same body: the same answer, one effect."""
        body = await request.body()
        if _media(request) == _BATCH:
            return await _accept_many(request, body, events)
        if len(body) > intake.MAX_EVENT_BYTES:
            raise TooLarge(f"An event may have {intake.MAX_EVENT_BYTES} bytes.")
        key = idempotency_key(request)
        event = _read_one(request, body, events, key)
        await events.accept([event], key)
        return Response(accepted(event), status_code=202, headers={"Location": f"/v1/events/{event.eventid}"})

    @post(
        "/events:batch",
        status_code=202,
        request_max_body_size=MAX_BATCH_BYTES,
        summary="Emit up to 1,000 events",
        operation_class=event_batch_operation(),
    )
    async def emit_many(self, request: ServiceRequest, events: GivenEvents) -> Response[dict[str, Any]]:
        """All or nothing: with one that is not valid, none is accepted, and `errors` names it (`events[3].title`)."""
        return await _accept_many(request, await request.body(), events)

    @get("/events/{event_id:str}", summary="How far an event came")
    async def progress(
        self, request: ServiceRequest, event_id: FromPath[str], event_progress: GivenEventProgress
    ) -> ShownProgress:
        """`accepted`: on the log; `routing`: its audience is recorded; `routed`: all deliveries are published."""
        found = await event_progress.find(request.user.tenant, event_id)
        if found is None:
            raise NotFound
        return found


def _read_one(request: ServiceRequest, body: bytes, events: Events, key: str) -> Event:
    tenant, now = request.user.tenant, events.now()
    trace = event_words.traceparent(request.headers.get("traceparent"))
    media = _media(request)
    if media == _STRUCTURED:
        return intake.accept_structured(decode_json(body), tenant, now, traceparent=trace)
    attributes: dict[str, Any] = {
        name[3:]: _attribute(name, value) for name, value in request.headers.items() if name.startswith("ce-")
    }
    if "specversion" in attributes:
        content_type = request.headers.get("content-type", "")
        attributes["datacontenttype"] = content_type or None
        return intake.accept_cloudevent(
            attributes, intake.decode_data(body, content_type), tenant, now, traceparent=trace
        )
    if media not in ("", _JSON):
        raise UnsupportedMedia(f"Send {_JSON}, {_STRUCTURED} or {_BATCH}.")
    fallback = events.fallback_id(tenant, key)
    return intake.accept_plain(decode_json(body), tenant, now, fallback_id=fallback, traceparent=trace)


async def _accept_many(request: ServiceRequest, body: bytes, events: Events) -> Response[dict[str, Any]]:
    key = idempotency_key(request)
    media = _media(request)
    if media not in ("", _JSON, _BATCH):
        raise UnsupportedMedia(f"Send {_JSON} or {_BATCH}.")
    items = _items(decode_json(body), media)
    tenant, now = request.user.tenant, events.now()
    trace = event_words.traceparent(request.headers.get("traceparent"))

    def read(index: int, item: object) -> Event:
        prefix = f"events[{index}]."
        if media == _BATCH:
            return intake.accept_structured(item, tenant, now, traceparent=trace, prefix=prefix)
        fallback = events.fallback_id(tenant, key, index)
        return intake.accept_plain(item, tenant, now, fallback_id=fallback, traceparent=trace, prefix=prefix)

    found = _read_all(items, read)
    await events.accept(found, key, many=True)
    answers = [{"index": index, **accepted(event)} for index, event in enumerate(found)]
    return Response({"status": "accepted", "events": answers}, status_code=202)


def _items(body: Any, media: str) -> list[Any]:
    if isinstance(body, Mapping) and media != _BATCH:
        if unknown := [name for name in body if name != "events"]:
            raise InvalidInput(Flaw(str(unknown[0])[:100], "is not a field of a batch"))
        body = body.get("events")
    if not isinstance(body, list) or not 1 <= len(body) <= MAX_BATCH:
        raise InvalidInput(Flaw("events", f"must be a list of 1 to {MAX_BATCH} events"))
    return body


def _read_all(items: list[Any], read: Callable[[int, object], Event]) -> list[Event]:
    found: list[Event] = []
    flaws: list[Flaw] = []
    for index, item in enumerate(items):
        try:
            found.append(read(index, item))
        except InvalidInput as error:
            flaws += error.flaws
            if len(flaws) >= MAX_FLAWS:
                break
    if flaws:
        raise InvalidInput(*flaws[:MAX_FLAWS])
    return found


def _media(request: ServiceRequest) -> str:
    content_type = request.headers.get("content-type", "")
    media, _, parameters = content_type.partition(";")
    charset = dict(part.strip().lower().partition("=")[::2] for part in parameters.split(";")).get("charset", "utf-8")
    if charset.strip('"') not in ("utf-8", "utf8", "us-ascii"):
        raise UnsupportedMedia("Send UTF-8.")
    return media.strip().lower()


def _attribute(name: str, value: str) -> str:
    # Header values are percent-encoded UTF-8 (CloudEvents HTTP binding 3.1.3.2).
    try:
        return unquote(value, errors="strict")
    except UnicodeDecodeError:
        raise InvalidInput(Flaw(name, "is not UTF-8")) from None
