"""Counts what rendering costs, and ends it where it costs too much. It counts steps and not time, so that the same
template with the same values always comes to the same end, on a busy machine as on an idle one."""

from jinja2 import Undefined
from jinja2.runtime import Context

MAX_STEPS = 200_000
"""Of one message, its subject, text and HTML together. The dearest that were found take 0.7 µs a step: 140 ms."""
MAX_TEXT = 64 * 1024
"""Characters of any text on the way, and bytes of what comes out."""
MAX_BITS = 256
"""Of a whole number."""

METER = " meter"
"""The meter's name among the variables; with its blank no template can spell it."""

Value = object


class TooMuch(Exception):
    """The render costs more than any message is worth."""


class Meter:
    """What is left to one message."""

    def __init__(self) -> None:
        self.left = MAX_STEPS

    def spend(self, steps: int) -> None:
        """Take `steps` off; raises `TooMuch`."""
        self.left -= steps
        if self.left < 0:
            raise TooMuch("takes too many steps: fewer or smaller loops, please")

    def weigh(self, value: Value) -> None:
        """Spend what going through a value takes, however it is nested."""
        stack = [value]
        while stack:
            found = stack.pop()
            if isinstance(found, str):
                self.spend(1 + len(found) // 256)
            elif isinstance(found, range):
                self.spend(1 + len(found))
            elif isinstance(found, list | tuple):
                self.spend(1 + len(found))
                stack.extend(found)
            elif isinstance(found, dict):
                self.spend(1 + len(found))
                stack.extend(found.values())
            else:
                self.spend(1)


def meter_of(context: Context) -> Meter:
    """The meter of this render."""
    found = context.resolve(METER)
    if not isinstance(found, Meter):
        raise TypeError("a render without a meter")
    return found


def text(value: Value) -> str:
    """A single value as text; nothing for null. Raises TypeError for lists and objects: they are for loops, and how
    Python writes them is no message to anybody."""
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if isinstance(value, bool | int | float | Undefined):  # an undefined one raises as it is read
        return str(value)
    raise TypeError("a list or an object cannot be printed: loop over it, or join it")


def short(value: str) -> str:
    """The text, unless it has grown too long; raises `TooMuch`."""
    if len(value) > MAX_TEXT:
        raise TooMuch(f"makes a text of more than {MAX_TEXT // 1024} KB")
    return value


def check_number(value: Value) -> None:
    """Raises TypeError for all that is no number: to Python's `%` a text is a format, which may ask for a gigabyte."""
    if isinstance(value, Undefined):
        str(value)  # raises: it names what is missing
    if not isinstance(value, int | float):
        raise TypeError("only numbers can be calculated with")
    bounded(value)


def bounded(value: Value) -> Value:
    """The number, unless it has grown too long; raises `TooMuch`."""
    if isinstance(value, int) and value.bit_length() > MAX_BITS:
        raise TooMuch("a number has too many digits")
    return value
