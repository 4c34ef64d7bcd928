"""Twilio's `POST /2010-04-01/Accounts/{sid}/Messages.json`: a form in, 201 with a sid out.

Source: https://www.twilio.com/docs/messaging/api/message-resource. It knows no idempotency keys; the query of
`StatusCallback` becomes the metadata, because a form has no other place for it.
"""

import re
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlsplit

from deploy.simulator.access import Access
from deploy.simulator.dialects.dialect import Call, Reply, is_for_now, json_reply, told
from deploy.simulator.problems import Refused
from deploy.simulator.records import Submission

_NUMBER = re.compile(r"\+[1-9][0-9]{6,14}|(whatsapp|messenger):.+")
_LONGEST_BODY = 1600
_REQUIRED = (
    ("To", ("To",), 21604, "A 'To' phone number is required."),
    ("From", ("From", "MessagingServiceSid"), 21603, "A 'From' phone number is required."),
    ("Body", ("Body", "MediaUrl", "ContentSid"), 21602, "Message body is required."),
)
_CODES = {401: 20003, 404: 20404, 405: 20004, 413: 21617, 429: 20429, 500: 20500, 503: 20503}
_INVALID_TO = 21211
_CODE_OF_FIELD = {field: code for field, _, code, _ in _REQUIRED} | {
    "To:invalid": _INVALID_TO,
    "Body:long": 21617,
    "StatusCallback": 21609,
}


class Twilio:
    """The account's sid is the user name, the API key is the password."""

    protocol = "twilio"
    channel: Any = "SMS"
    path = "/2010-04-01/Accounts/{sid}/Messages.json"
    key_header = "Idempotency-Key"
    honours_keys = False

    def read(self, call: Call, access: Access) -> Submission:
        """Numbers must be E.164."""
        access.basic(call.headers)
        form = _form(call.raw)
        for field, one_of, _, message in _REQUIRED:
            if not any(form.get(name) for name in one_of):
                raise Refused(400, message, field)
        if not _NUMBER.fullmatch(form["To"]):
            raise Refused(400, f"The 'To' number {form['To']} is not a valid phone number.", "To:invalid")
        body = form.get("Body", "")
        if len(body) > _LONGEST_BODY:
            raise Refused(400, "The concatenated message body exceeds the 1600 character limit.", "Body:long")
        metadata = _query(form.get("StatusCallback", ""))
        return Submission(
            to=(form["To"],),
            body=body,
            key=call.headers.get(self.key_header),
            delivery_id=metadata.get("delivery_id"),
            metadata=metadata,
            headers={"from": form.get("From", ""), **told(call.headers, "user-agent", "traceparent")},
        )

    def new_id(self, call: Call, drawn: str) -> str:
        """`SM` and the digits, as theirs."""
        return f"SM{drawn}"

    def accepted(self, call: Call, sent: Submission, message_id: str) -> Reply:
        """201 with the message, queued."""
        sid = call.path["sid"]
        message = {
            "sid": message_id,
            "account_sid": sid,
            "to": sent.to[0],
            "from": sent.headers["from"] or None,
            "body": sent.body,
            "status": "queued",
            "num_segments": "1",
            "error_code": None,
            "error_message": None,
            "uri": f"/2010-04-01/Accounts/{sid}/Messages/{message_id}.json",
        }
        return json_reply(201, message)

    def refused(self, status: int, message: str, field: str = "") -> Reply:
        """Their error: a code of five digits beside the status."""
        code = _CODE_OF_FIELD.get(field) or _CODES.get(status) or (20500 if status >= 500 else 21620)
        more = f"https://www.twilio.com/docs/errors/{code}"
        return json_reply(status, {"code": code, "message": message, "more_info": more, "status": status})

    def unknown_recipient(self, code: int) -> Reply:
        """503 for now, their 21211 for good."""
        if is_for_now(code):
            return self.refused(503, "Service unavailable")
        return self.refused(400, "The 'To' number is not a valid phone number.", "To:invalid")


def _query(url: str) -> dict[str, Any]:
    try:
        return dict(parse_qsl(urlsplit(url).query))
    except ValueError:
        raise Refused(400, "The 'StatusCallback' URL is not a valid URL.", "StatusCallback") from None


def _form(raw: bytes) -> dict[str, str]:
    try:
        fields = parse_qs(raw.decode(), keep_blank_values=True, errors="strict", max_num_fields=100)
    except ValueError:
        raise Refused(400, "The body is not a form.") from None
    return {name: values[-1] for name, values in fields.items()}
