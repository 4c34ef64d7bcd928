"""What pydantic says of bad input, in words for people who write JSON and not Python: one table."""

import re

_WORDS = tuple(
    (re.compile(said), meant)
    for said, meant in (
        (r"Value error, (.*)", r"\1"),
        (r"'data'", "is required"),  # how the framework says that there was no body at all
        (r"Field required", "is required"),
        (r"Extra inputs are not permitted", "is not known here"),
        (r"(?:Tuple|List|Dictionary|Set) should have at (most|least) (\d+) items?.*", r"must have at \1 \2 items"),
        (r"String should have at (most|least) (\d+) characters?", r"must have at \1 \2 characters"),
        (r"Input should be a valid (?:tuple|list)", "must be an array"),
        (r"Input should be a valid dictionary.*", "must be an object"),
        (r"Input should be a valid integer.*", "must be a whole number"),
        (r"Input should be greater than or equal to (.*)", r"must be at least \1"),
        (r"Input should be less than or equal to (.*)", r"must be at most \1"),
        (r"Input should be a valid (.*)", r"must be a \1"),
        (r"Input should be (.*)", r"must be \1"),
    )
)


def reworded(message: str) -> str:
    """The message; as it is, where the table has no other words for it."""
    for said, meant in _WORDS:
        if found := said.fullmatch(message):
            return found.expand(meant)
    return message
