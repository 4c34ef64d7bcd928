"""Reads the fields of an event one by one and gathers what is wrong with each. Knows the limits of every field, and
not in which form (plain, CloudEvents, Kafka) they came."""

import re
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, TypeVar

from libs.common.domain.channels import Channel, Lane
from libs.common.domain.errors import Flaw, InvalidInput
from libs.common.domain.json_values import CONTROL, MAX_FLAWS, UNSTORABLE, unstorable
from libs.common.domain.people import parse_subscriber_id
from libs.common.domain.timestamps import parse_instant

MAX_ID = 255
MAX_WORD = 256
"""Characters of a topic, priority, category, type or subject."""
MAX_SOURCE = 1_024
MAX_TITLE = 1_000
MAX_CONTENT = 65_536
MAX_RECIPIENTS = 10_000
MAX_AHEAD = timedelta(days=366)
"""How far ahead `release_time` may lie."""

IMMEDIATELY = frozenset({"", "now", "anytime"})
_TRACEPARENT = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}", re.ASCII)

T = TypeVar("T")
Read = Callable[[Any], T]


class Words:
    """The fields of one event by name. `read` gives a field's value, or its default when absent or wrong; what is
    wrong is remembered until `check`."""

    def __init__(self, fields: Mapping[str, Any], prefix: str = "") -> None:
        self._fields = fields
        self._prefix = prefix
        self._flaws: list[Flaw] = []

    def read(self, name: str, reader: Read[T], default: T) -> T:
        """The field `name`; null is absent."""
        value = self._fields.get(name)
        return default if value is None else self.parse(name, value, reader, default)

    def parse(self, name: str, value: Any, reader: Read[T], default: T) -> T:
        """What `reader` makes of `value`, which came as `name`."""
        try:
            return reader(value)
        except ValueError as error:
            self.refuse(name, str(error))
        except InvalidInput as error:
            self._flaws.extend(Flaw(self._prefix + flaw.pointer, flaw.message) for flaw in error.flaws)
        return default

    def refuse(self, name: str, message: str) -> None:
        """Remember that `name` is wrong."""
        self._flaws.append(Flaw(f"{self._prefix}{name}", message))

    def require(self, name: str, message: str) -> None:
        """Remember that `name` is missing, unless it is there and wrong already."""
        if not any(flaw.pointer.startswith(self._prefix + name) for flaw in self._flaws):
            self.refuse(name, message)

    def check(self) -> None:
        """Raises InvalidInput with everything that is wrong, if anything is."""
        if self._flaws:
            raise InvalidInput(*self._flaws[:MAX_FLAWS])


def line(limit: int) -> Read[str]:
    """Reads a text of one line, trimmed."""

    def read(value: Any) -> str:
        text = _text(value).strip()
        if len(text) > limit:
            raise ValueError(f"must not be longer than {limit} characters")
        if CONTROL.search(text):
            raise ValueError("must be one line without control characters")
        return text

    return read


def identifier(limit: int) -> Read[str]:
    """Reads an id: compared byte for byte, so it is neither trimmed nor normalised, and what cannot be seen is refused.

    Two spellings of an accented letter (NFC, NFD) are two ids.
    """

    def read(value: Any) -> str:
        text = _text(value)
        if not 1 <= len(text) <= limit:
            raise ValueError(f"must have 1 to {limit} characters")
        if not text.isprintable() or text != text.strip():
            raise ValueError("must be printable, without white space around it")
        return text

    return read


def content(value: Any) -> str:
    """Reads a text of many lines."""
    text = _text(value)
    if len(text) > MAX_CONTENT:
        raise ValueError(f"must not be longer than {MAX_CONTENT} characters")
    if UNSTORABLE.search(text):
        raise ValueError("has a NUL or a lone surrogate")
    return text


def lane(value: Any) -> Lane:
    """Reads a lane."""
    try:
        return Lane(_text(value).strip().lower())
    except ValueError:
        raise ValueError(f"must be one of {', '.join(Lane)}") from None


def channels(value: Any) -> tuple[Channel, ...]:
    """Reads a list of channels, in any case, each once."""
    if not isinstance(value, list | tuple):
        raise ValueError("must be a list of channels")
    try:
        return tuple(dict.fromkeys(Channel(_text(item).strip().upper()) for item in value))
    except ValueError:
        raise ValueError(f"must be a list of {', '.join(Channel)}") from None


def recipients(value: Any) -> tuple[str, ...]:
    """Reads a list of subscriber ids, each once."""
    if not isinstance(value, list):
        raise ValueError("must be a list of subscriber ids")
    if len(value) > MAX_RECIPIENTS:
        raise ValueError(f"must not have more than {MAX_RECIPIENTS} entries")
    flaws = []
    for index, item in enumerate(value):
        try:
            parse_subscriber_id(_text(item))
        except ValueError as error:
            flaws.append(Flaw(f"recipients[{index}]", str(error)))
    if flaws:
        raise InvalidInput(*flaws[:MAX_FLAWS])
    return tuple(dict.fromkeys(value))


def instant(value: Any) -> datetime:
    """Reads a time."""
    return parse_instant(_text(value))


def optional_instant(value: Any) -> datetime | None:
    """Reads a time; `now`, `anytime` and nothing are none."""
    text = _text(value)
    return None if text.strip().lower() in IMMEDIATELY else parse_instant(text)


def json_value(name: str) -> Read[Any]:
    """Reads whatever JSON upstream sent along."""

    def read(value: Any) -> Any:
        if flaws := unstorable(value, name):
            raise InvalidInput(*flaws)
        return value

    return read


def traceparent(value: object) -> str:
    """A W3C trace context, or nothing: a broken one is dropped and not refused, as its specification wants."""
    return value if isinstance(value, str) and _TRACEPARENT.fullmatch(value) else ""


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("must be a string")
    return value
