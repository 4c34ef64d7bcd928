"""Decides whether what an upstream service sent is an event, and which: the plain JSON form, CloudEvents 1.0
(https://github.com/cloudevents/spec), and CloudEvents on Kafka. The API and the router accept the same by it. Knows
neither HTTP nor where events go."""

import base64
import binascii
import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

import msgspec

from libs.common.domain import event_words as words
from libs.common.domain import keys
from libs.common.domain.channels import Lane
from libs.common.domain.errors import Flaw, InvalidInput
from libs.common.domain.event_words import Words
from libs.common.domain.json_text import decode_json
from libs.common.domain.messages import Content, Event
from libs.common.domain.record_headers import is_text

MAX_EVENT_BYTES = 256 * 1024
PLAIN_SOURCE = "/api"
"""The source of an event that names none."""
PLAIN_TYPE = "sigmora.event"

PLAIN_FIELDS = frozenset(
    {"id", "source", "type", "subject", "time", "topic", "priority", "category", "title", "content", "data"}
    | {"recipients", "channels", "lane", "release_time", "expires_at"}
)
_SHARED = ("priority", "category", "lane")
"""Words that a CloudEvent may carry as an extension attribute or in its data."""
_IN_DATA = ("topic", *_SHARED, "title", "content", "recipients", "channels", "release_time", "expires_at")
_FROM_ATTRIBUTES = (
    *((name, name) for name in ("id", "source", "type", "subject", "time", "topic", *_SHARED)),
    ("release_time", "releasetime"),
    ("expires_at", "expiresat"),
)
"""Our field, and the attribute that it is taken from."""
_READ = frozenset(theirs for _, theirs in _FROM_ATTRIBUTES) | {
    "specversion",
    "datacontenttype",
    "dataschema",
    "traceparent",
    "tracestate",
}
_FORGED = frozenset({"tenant", "eventid", "data", "attributes"})
"""Never taken from the sender: the tenant is the credential's or the topic's."""
_ATTRIBUTE_NAME = re.compile(r"[a-z0-9]{1,64}", re.ASCII)


def accept_plain(
    body: object, tenant: str, now: datetime, *, fallback_id: str = "", traceparent: str = "", prefix: str = ""
) -> Event:
    """The event that a plain JSON object means.

    `fallback_id` serves when the object has no id; `prefix` (`events[3].`) goes before the names of faulty fields.
    Raises InvalidInput with every flaw.
    """
    if not isinstance(body, Mapping):
        raise InvalidInput(Flaw(prefix.removesuffix(".") or "body", "must be a JSON object"))
    defaults = {"id": fallback_id or None, "source": PLAIN_SOURCE}
    given = {name: value for name, value in body.items() if value is not None}
    fields = Words({**defaults, **given}, prefix)
    for name in body:
        if name not in PLAIN_FIELDS:
            fields.refuse(str(name)[:100], "is not a field of an event")
    return _event(fields, tenant, now, traceparent, {})


def accept_cloudevent(
    attributes: Mapping[str, Any], data: Any, tenant: str, now: datetime, *, traceparent: str = "", prefix: str = ""
) -> Event:
    """The event that a CloudEvent means: context and extension attributes, and its data decoded.

    Topic, priority, category, lane, release and expiry are taken from extension attributes, else from a `data` object;
    a topic is else the type, a title else the subject or type. Raises InvalidInput with every flaw.
    """
    inside = data if isinstance(data, Mapping) else {}
    said = {name: inside.get(name) for name in _IN_DATA}
    said |= {ours: attributes[theirs] for ours, theirs in _FROM_ATTRIBUTES if attributes.get(theirs) is not None}
    fields = Words({**said, "data": data}, prefix)
    if attributes.get("specversion") != "1.0":
        fields.refuse("specversion", 'must be "1.0"')
    for name in ("source", "type"):
        if attributes.get(name) is None:
            fields.refuse(name, "is required")
    trace = words.traceparent(attributes.get("traceparent")) or traceparent
    return _event(fields, tenant, now, trace, _extensions(fields, attributes))


def accept_structured(
    envelope: object, tenant: str, now: datetime, *, traceparent: str = "", prefix: str = ""
) -> Event:
    """The event in a CloudEvent's JSON format, decoded. Raises InvalidInput with every flaw."""
    if not isinstance(envelope, Mapping):
        raise InvalidInput(Flaw(prefix.removesuffix(".") or "body", "must be a CloudEvent, a JSON object"))
    attributes = {name: value for name, value in envelope.items() if name not in ("data", "data_base64")}
    data = envelope.get("data")
    if envelope.get("data_base64") is not None:
        data = _from_base64(envelope["data_base64"], attributes.get("datacontenttype"), prefix)
    return accept_cloudevent(attributes, data, tenant, now, traceparent=traceparent, prefix=prefix)


def accept_record(
    value: bytes | None, headers: Iterable[tuple[str, bytes | None]], tenant: str, now: datetime
) -> Event:
    """The event in a Kafka record: structured when its content type says so, else binary with `ce_` headers.

    Raises InvalidInput with every flaw.
    """
    if len(value or b"") > MAX_EVENT_BYTES:
        raise InvalidInput(Flaw("value", f"must not be larger than {MAX_EVENT_BYTES} bytes"))
    named = {name.lower(): _header_text(name, raw) for name, raw in headers if raw is not None}
    content_type = named.get("content-type", "")
    trace = words.traceparent(named.get("traceparent"))
    if media_type(content_type) == "application/cloudevents+json":
        return accept_structured(decode_json(value or b""), tenant, now, traceparent=trace)
    attributes: dict[str, Any] = {name[3:]: text for name, text in named.items() if name.startswith("ce_")}
    if not attributes:
        raise InvalidInput(Flaw("headers", "neither a structured CloudEvent nor one with ce_ headers"))
    if content_type:
        attributes["datacontenttype"] = content_type
    return accept_cloudevent(attributes, decode_data(value or b"", content_type), tenant, now, traceparent=trace)


def decode_data(payload: bytes, content_type: str) -> Any:
    """The data of a binary CloudEvent: JSON unless its content type says text. Raises InvalidInput for other types."""
    if not payload:
        return None
    media = media_type(content_type)
    if not media or media == "application/json" or media.endswith("+json"):
        return decode_json(payload, "data")
    if not media.startswith("text/"):
        raise InvalidInput(Flaw("datacontenttype", "must be JSON or text"))
    try:
        return payload.decode()
    except UnicodeDecodeError:
        raise InvalidInput(Flaw("data", "is not UTF-8")) from None


def media_type(content_type: str) -> str:
    """The media type without its parameters, in lower case."""
    return content_type.partition(";")[0].strip().lower()


def _event(
    fields: Words, tenant: str, now: datetime, traceparent: str, extensions: dict[str, str | int | bool]
) -> Event:
    source_id = fields.read("id", words.identifier(words.MAX_ID), "")
    source = fields.read("source", words.identifier(words.MAX_SOURCE), "")
    type_ = fields.read("type", words.identifier(words.MAX_WORD), "")
    subject = fields.read("subject", words.line(words.MAX_WORD), "")
    what = _content(fields, stand_in=subject or type_)
    topic = fields.read("topic", words.line(words.MAX_WORD), "") or type_
    if not source_id:
        fields.require("id", "is required")
    if not topic and not what.recipients:
        fields.require("topic", "is required, unless recipients are named")
    release, expiry = _times(fields, now)
    event = Event(
        id=source_id,
        source=source,
        type=type_ or PLAIN_TYPE,
        time=fields.read("time", words.instant, now),
        subject=subject,
        tenant=tenant,
        eventid=keys.event_id(tenant, source, source_id),
        lane=fields.read("lane", words.lane, Lane.STANDARD),
        topic=topic,
        priority=fields.read("priority", words.line(words.MAX_WORD), ""),
        category=fields.read("category", words.line(words.MAX_WORD), ""),
        releasetime=release,
        expiresat=expiry,
        traceparent=traceparent,
        attributes=extensions,
        data=what,
    )
    fields.check()
    return event


def _content(fields: Words, stand_in: str) -> Content:
    title = fields.read("title", words.line(words.MAX_TITLE), "") or stand_in
    text = fields.read("content", words.content, "")
    if not title and not text:
        fields.require("title", "is required, unless there is content")
    return Content(
        title=title,
        content=text,
        data=fields.read("data", words.json_value("data"), None),
        recipients=fields.read("recipients", words.recipients, ()),
        channels=fields.read("channels", words.channels, ()),
    )


def _times(fields: Words, now: datetime) -> tuple[datetime | None, datetime | None]:
    release = fields.read("release_time", words.optional_instant, None)
    expiry = fields.read("expires_at", words.optional_instant, None)
    if release is not None and release > now + words.MAX_AHEAD:
        fields.refuse("release_time", f"must not be more than {words.MAX_AHEAD.days} days ahead")
    if release is not None and expiry is not None and expiry <= release:
        fields.refuse("expires_at", "must be later than release_time")
    return release, expiry


def _extensions(fields: Words, attributes: Mapping[str, Any]) -> dict[str, str | int | bool]:
    extensions: dict[str, str | int | bool] = {}
    for name, value in attributes.items():
        if name in _READ or name in _FORGED or value is None:
            continue
        if not isinstance(name, str) or _ATTRIBUTE_NAME.fullmatch(name) is None:
            fields.refuse(str(name)[:100], "is not the name of an attribute: lower-case letters and digits only")
        elif isinstance(value, str):
            extensions[name] = fields.parse(name, value, words.line(words.MAX_SOURCE), "")
        elif isinstance(value, bool) or (isinstance(value, int) and -(2**31) <= value < 2**31):
            extensions[name] = value
        else:
            fields.refuse(name, "must be a string, a boolean or an integer of 32 bits")
    return extensions


def _from_base64(text: Any, content_type: Any, prefix: str) -> Any:
    try:
        payload = base64.b64decode(text, validate=True)
    except (binascii.Error, TypeError, ValueError):
        raise InvalidInput(Flaw(f"{prefix}data_base64", "is not base64")) from None
    return decode_data(payload, content_type if isinstance(content_type, str) else "")


def _header_text(name: str, raw: bytes) -> str:
    if not is_text(name):
        raise InvalidInput(Flaw("headers", f"the name {name[:100]!r} is not UTF-8"))
    try:
        return raw.decode()
    except UnicodeDecodeError:
        raise InvalidInput(Flaw(f"headers.{name[:100]}", "is not UTF-8")) from None


def canonical(event: Event) -> bytes:
    """What tells a repeated event from another one under the same key. Without what a sender may fill in anew when it
    tries again: the time and the trace."""
    return msgspec.json.encode({**msgspec.to_builtins(event), "time": "", "traceparent": ""}, order="sorted")
