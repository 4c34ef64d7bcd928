"""Cursors: where a page ended, in a form that nobody has to understand. They hold a position and no permission: whose
feed is read comes from the credential."""

import base64
import binascii
from datetime import UTC, datetime, timedelta

import msgspec

from libs.common.domain.errors import Flaw, InvalidInput

Position = tuple[datetime, str]
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LONGEST = 500


def make_cursor(position: Position) -> str:
    """The cursor for what comes after `position`."""
    made, item_id = position
    micros = (made - _EPOCH) // timedelta(microseconds=1)
    return base64.urlsafe_b64encode(msgspec.json.encode([micros, item_id])).decode().rstrip("=")


def read_cursor(cursor: str) -> Position:
    """The position; raises InvalidInput for anything that `make_cursor` did not make."""
    try:
        if len(cursor) > _LONGEST:
            raise ValueError
        text = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        micros, item_id = msgspec.json.decode(text, type=tuple[int, str])
        return _EPOCH + timedelta(microseconds=micros), item_id
    except (ValueError, binascii.Error, msgspec.MsgspecError, OverflowError):
        raise InvalidInput(Flaw("cursor", "is not one that this API made")) from None


def make_name_cursor(name: str) -> str:
    """The cursor for what comes after `name` in a list ordered by names."""
    return base64.urlsafe_b64encode(msgspec.json.encode(name)).decode().rstrip("=")


def read_name_cursor(cursor: str) -> str:
    """The name; raises InvalidInput for anything that `make_name_cursor` did not make."""
    try:
        if len(cursor) > _LONGEST:
            raise ValueError
        text = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        return msgspec.json.decode(text, type=str)
    except (ValueError, binascii.Error, msgspec.MsgspecError):
        raise InvalidInput(Flaw("cursor", "is not one that this API made")) from None
