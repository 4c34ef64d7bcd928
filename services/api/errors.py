"""One table from what went wrong to what the caller is told: problem+json (RFC 9457) with a stable `type` and, for bad
input, every fault by place. No text of a driver, no stack and no secret ever gets into an answer."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import structlog
from litestar import Request, Response
from litestar.exceptions import HTTPException, ValidationException

from libs.common.domain.errors import Conflict, Flaw, InvalidInput, Overtaken, Poison, Unavailable
from services.api.wording import reworded

_log = structlog.get_logger(__name__)

RETRY_AFTER_SECONDS = 2
_HUNG_UP = "client disconnected prematurely"
"""The framework has no type of its own for it; taken for a defect of ours, anybody could ring the alarm."""


class Refusal(Exception):
    """A request is refused for another reason than its content; what the caller is told."""

    def __init__(self, detail: str = "", headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.headers = headers or {}


class Unauthorized(Refusal):
    """No credential, or one that is not good."""


class Forbidden(Refusal):
    """A good credential that does not allow this."""


class NotFound(Refusal):
    """There is no such thing, or it belongs to another tenant: nobody can tell which."""


class Taken(Refusal):
    """The name is taken."""


class TooLarge(Refusal):
    """The body is larger than allowed."""


class UnsupportedMedia(Refusal):
    """The body is in a form that is not read here."""


class TooSlow(Refusal):
    """The body did not arrive in time."""


class HungUp(Refusal):
    """The caller went away in the middle of the body; nobody reads the answer."""


class TooMany(Refusal):
    """Too many requests in a time; `headers` say when to come back."""


class NotIn(Refusal):
    """The thing is in a state that does not allow this; `extra` goes into the answer."""

    def __init__(self, detail: str = "", extra: Mapping[str, object] | None = None) -> None:
        super().__init__(detail)
        self.extra = extra or {}


class Missing(InvalidInput):
    """The input names something that is not there."""


class Incomplete(InvalidInput):
    """The input is well-formed, and something that it refers to needs more or other than it gives."""


@dataclass(frozen=True)
class _Problem:
    status: int
    slug: str
    detail: str = ""


TABLE: dict[type[Exception], _Problem] = {
    InvalidInput: _Problem(400, "validation", "The request is not valid."),
    Missing: _Problem(404, "not-found", "Something that the request names is not there."),
    Incomplete: _Problem(422, "incomplete", "The request does not fit what it refers to."),
    Conflict: _Problem(422, "idempotency-conflict", "The same key was used for another body."),
    Overtaken: _Problem(422, "overtaken", "Somebody else changed it since it was read."),
    RecursionError: _Problem(400, "validation", "The body is nested too deeply."),
    UnicodeDecodeError: _Problem(400, "validation", "The body is not UTF-8."),
    Unauthorized: _Problem(401, "unauthorized", "A valid credential is needed."),
    Forbidden: _Problem(403, "forbidden", "The credential does not allow this."),
    NotFound: _Problem(404, "not-found", "There is no such thing."),
    HungUp: _Problem(400, "validation", "The body did not arrive whole."),
    TooSlow: _Problem(408, "too-slow", "The body did not arrive in time."),
    NotIn: _Problem(409, "state", "Its state does not allow this."),
    Taken: _Problem(409, "conflict", "This is taken."),
    TooMany: _Problem(429, "too-many-requests", "Too many requests; try again later."),
    TooLarge: _Problem(413, "too-large", "The body is too large."),
    Poison: _Problem(413, "too-large", "An event is too large for the log."),
    UnsupportedMedia: _Problem(415, "unsupported-media-type", "The body is in a form that is not read here."),
    Unavailable: _Problem(503, "unavailable", "Not accepted; try again with the same idempotency key."),
    Exception: _Problem(500, "internal", "Something is wrong with Sigmora; it was logged."),
}
_BY_STATUS = {400: "validation", 401: "unauthorized", 403: "forbidden", 404: "not-found", 405: "method-not-allowed"} | {
    problem.status: problem.slug for problem in TABLE.values()
}


def problem(
    status: int,
    slug: str,
    detail: str,
    errors: list[Flaw] | None = None,
    headers: Mapping[str, str] | None = None,
    extra: Mapping[str, object] | None = None,
) -> Response[dict[str, Any]]:
    """The answer for a problem; `extra` are members of its own (RFC 9457, section 3.2)."""
    body: dict[str, Any] = {
        "type": f"/problems/{slug}",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        **(extra or {}),
    }
    if errors:
        body["errors"] = [{"pointer": flaw.pointer, "message": flaw.message} for flaw in errors]
    return Response(body, status_code=status, media_type="application/problem+json", headers=dict(headers or {}))


def _answer(_request: Request[Any, Any, Any], error: Exception) -> Response[dict[str, Any]]:
    row = next(TABLE[kind] for kind in type(error).__mro__ if kind in TABLE)
    detail = error.detail if isinstance(error, Refusal) and error.detail else row.detail
    headers = dict(error.headers) if isinstance(error, Refusal) else {}
    if row.status == 401:
        headers.setdefault("WWW-Authenticate", 'Bearer realm="sigmora"')
    if row.status == 503:
        headers["Retry-After"] = str(RETRY_AFTER_SECONDS)
        _log.warning("request.unavailable", reason=str(error))
    if row.status == 500:
        _log.error("request.failed", exc_info=error)
    flaws = list(error.flaws) if isinstance(error, InvalidInput) else None
    if isinstance(error, RecursionError | UnicodeDecodeError):
        flaws = [Flaw("body", row.detail)]
    return problem(row.status, row.slug, detail, flaws, headers, error.extra if isinstance(error, NotIn) else None)


def _answer_framework(_request: Request[Any, Any, Any], error: HTTPException) -> Response[dict[str, Any]]:
    status = error.status_code
    if status == 500 and error.detail == _HUNG_UP:
        return _answer(_request, HungUp())
    if status >= 500:
        return _answer(_request, error if status == 500 else Unavailable(str(status)))
    slug = _BY_STATUS.get(status, "about:blank")
    if isinstance(error, ValidationException):
        return problem(status, slug, TABLE[InvalidInput].detail, list(_flaws(error)))
    if status == 400:
        return problem(status, slug, TABLE[InvalidInput].detail, [Flaw("body", error.detail)])
    return problem(status, slug, error.detail, headers=error.headers)


def _flaws(error: ValidationException) -> list[Flaw]:
    flaws = []
    for fault in error.extra if isinstance(error.extra, list) else []:
        message = str(fault.get("message", "is not valid"))
        pointer = str(fault.get("key") or fault.get("source") or "body")
        if message == "'data'":  # how the framework says that there was no body at all
            pointer = "body"
        # `preferences.topic.0` becomes `preferences.topic[0]`, as everywhere else.
        flaws.append(Flaw(re.sub(r"\.(\d+)(?=\.|$)", r"[\1]", pointer)[:200], reworded(message)))
    return flaws


HANDLERS: dict[type[Exception] | int, Any] = {
    **dict.fromkeys(TABLE, _answer),
    HTTPException: _answer_framework,
}
"""For `Litestar(exception_handlers=…)`."""
