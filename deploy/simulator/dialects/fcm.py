"""FCM HTTP v1: `POST /v1/projects/{project}/messages:send`, and the token endpoint that its senders ask first.

Source: https://firebase.google.com/docs/reference/fcm/rest/v1/projects.messages/send. It knows no idempotency keys.
"""

from http import HTTPStatus
from typing import Annotated, Any
from urllib.parse import parse_qs

import msgspec
from msgspec import Meta, Struct

from deploy.simulator.access import Access
from deploy.simulator.dialects.dialect import Call, Reply, is_for_now, json_reply, told
from deploy.simulator.problems import decode
from deploy.simulator.records import Submission

_JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_LIFETIME_SECONDS = 3600
_STATUS = {
    400: ("INVALID_ARGUMENT", "INVALID_ARGUMENT"),
    401: ("UNAUTHENTICATED", "THIRD_PARTY_AUTH_ERROR"),
    403: ("PERMISSION_DENIED", "SENDER_ID_MISMATCH"),
    404: ("NOT_FOUND", "UNREGISTERED"),
    429: ("RESOURCE_EXHAUSTED", "QUOTA_EXCEEDED"),
    500: ("INTERNAL", "INTERNAL"),
    503: ("UNAVAILABLE", "UNAVAILABLE"),
}


class _Notification(Struct, frozen=True):
    title: str | None = None
    body: str | None = None


class _Message(Struct):
    token: Annotated[str, Meta(min_length=1)]
    notification: _Notification = _Notification()
    data: dict[str, str] = {}


class _Send(Struct):
    message: _Message
    validate_only: bool = False


_SEND = msgspec.json.Decoder(_Send)


class Fcm:
    """`data` becomes the metadata."""

    protocol = "fcm"
    channel: Any = "PUSH"
    path = "/v1/projects/{project}/messages:send"
    key_header = "Idempotency-Key"
    honours_keys = False

    def read(self, call: Call, access: Access) -> Submission:
        """The bearer is a token of `/token`, or the API key itself."""
        access.bearer(call.headers)
        message = decode(_SEND.decode, call.raw).message
        return Submission(
            to=(message.token,),
            title=message.notification.title,
            body=message.notification.body or "",
            key=call.headers.get(self.key_header),
            delivery_id=message.data.get("delivery_id"),
            metadata=dict(message.data),
            headers=told(call.headers, "user-agent", "traceparent"),
        )

    def new_id(self, call: Call, drawn: str) -> str:
        """The resource's name."""
        return f"projects/{call.path['project']}/messages/{drawn}"

    def accepted(self, call: Call, sent: Submission, message_id: str) -> Reply:
        """200 with the name."""
        return json_reply(200, {"name": message_id})

    def refused(self, status: int, message: str, field: str = "") -> Reply:
        """Google's error, with the FCM code among the details."""
        google, fcm = _STATUS.get(status, ("UNKNOWN", "UNSPECIFIED_ERROR"))
        kind = "type.googleapis.com/google.firebase.fcm.v1.FcmError"
        details: list[dict[str, Any]] = [{"@type": kind, "errorCode": fcm}]
        if field and status == HTTPStatus.BAD_REQUEST:
            violation = {"field": field, "description": message}
            details.append({"@type": "type.googleapis.com/google.rpc.BadRequest", "fieldViolations": [violation]})
        return json_reply(status, {"error": {"code": status, "message": message, "status": google, "details": details}})

    def unknown_recipient(self, code: int) -> Reply:
        """503 for now; UNREGISTERED for good: the token must not be used again."""
        if is_for_now(code):
            return self.refused(503, "The service is currently unavailable.")
        return self.refused(404, "Requested entity was not found.")


def grant(raw: bytes, access: Access) -> Reply:
    """Answer `POST /token` (RFC 7523). The assertion must look like a JWT; whose it is, nobody checks."""
    try:
        form = {name: values[-1] for name, values in parse_qs(raw.decode(), max_num_fields=100).items()}
    except ValueError:
        form = {}
    if form.get("grant_type") != _JWT_BEARER:
        return json_reply(400, {"error": "unsupported_grant_type", "error_description": "Invalid grant_type"})
    if form.get("assertion", "").count(".") != 2:
        return json_reply(400, {"error": "invalid_grant", "error_description": "Invalid JWT: three parts expected"})
    token = {"access_token": access.issue(), "expires_in": _LIFETIME_SECONDS, "token_type": "Bearer"}
    return json_reply(200, token)
