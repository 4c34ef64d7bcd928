"""What an HTTP protocol has to tell: how a request is read and how answers look. Refuses to know faults and memory."""

from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol

import msgspec

from deploy.simulator.access import Access
from deploy.simulator.records import Submission
from deploy.simulator.rules import Channel


class Call(NamedTuple):
    """A request, taken apart. `headers` ignores case."""

    headers: Mapping[str, str]
    path: Mapping[str, str]
    raw: bytes


class Reply(NamedTuple):
    """An answer; `type` is its media type."""

    status: int
    body: bytes = b""
    type: str = "application/json"
    headers: Mapping[str, str] = {}


class Dialect(Protocol):
    """One provider's protocol on one path of one channel."""

    protocol: str
    channel: Channel
    path: str
    key_header: str
    honours_keys: bool
    """Whether the real provider promises one effect per key."""

    def read(self, call: Call, access: Access) -> Submission:
        """Check the credential and read the message; raise `Refused` with a 4xx."""

    def new_id(self, call: Call, drawn: str) -> str:
        """The provider's id for a message, made of 32 hexadecimal digits that were drawn."""

    def accepted(self, call: Call, sent: Submission, message_id: str) -> Reply:
        """The answer to a message that was taken."""

    def refused(self, status: int, message: str, field: str = "") -> Reply:
        """An error, in the provider's own shape."""

    def unknown_recipient(self, code: int) -> Reply:
        """The address is refused: for now when the SMTP code is 4xx, for good when it is 5xx."""


def json_reply(status: int, body: Any, **headers: str) -> Reply:
    """An answer in JSON."""
    return Reply(status, msgspec.json.encode(body), headers=headers)


def told(headers: Mapping[str, str], *names: str) -> dict[str, str]:
    """Those of the named headers that were sent, in lower case."""
    return {name: headers[name] for name in names if name in headers}


def is_for_now(code: int) -> bool:
    """Whether an SMTP code means: try again later."""
    return code < 500
