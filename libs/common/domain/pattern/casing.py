"""Ignoring case, as the filter language means it: each character of the *pattern* stands for its own lower and upper
case form, either of which may be several characters. It is not symmetric: `straße` accepts `STRASSE`, not `strasse`.
"""

Forms = tuple[tuple[str, str], ...]
"""Per character of the pattern: its lower and its upper case form."""


def forms_of(text: str) -> Forms:
    """The two forms of every character of a pattern."""
    return tuple((character.lower(), character.upper()) for character in text)


def reverse(forms: Forms) -> Forms:
    """The forms that accept the mirrored text."""
    return tuple((lower[::-1], upper[::-1]) for lower, upper in reversed(forms))


def consume(forms: Forms, value: str) -> int:
    """How many characters at the start of the value the forms account for, or -1.

    One pass suffices: where the two forms of a character differ, they differ in their first and in their last
    character, for all of Unicode (a test says so), so at most one of them fits.
    """
    at = 0
    for lower, upper in forms:
        if value.startswith(lower, at):
            at += len(lower)
        elif value.startswith(upper, at):
            at += len(upper)
        else:
            return -1
    return at
