"""Decides which headers of a record can be worked with. One that cannot makes the whole record poison: tracing and
content types are read from headers, and what is dropped in silence is missed by nobody until it matters."""

from collections.abc import Iterable

from libs.common.domain.errors import Poison


def check_headers(headers: Iterable[tuple[str, bytes | None]]) -> None:
    """Raises `Poison` unless every header is text: a name and a value in UTF-8."""
    for name, value in headers:
        if not is_text(name):
            raise Poison(f"the header name {name!r} is not UTF-8")
        if value is None:
            raise Poison(f"header {name!r} has no value")
        try:
            value.decode()
        except UnicodeDecodeError as error:
            raise Poison(f"header {name!r} is not UTF-8") from error


def is_text(name: str) -> bool:
    """Whether a header's name was UTF-8 on the log; the bytes that were not stand in it as surrogate escapes."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
