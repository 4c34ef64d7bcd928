"""What counts as an e-mail address, a phone number, a locale, a name and an id of a person. Pure; asks no server
whether anybody is there."""

import re

from email_validator import SPECIAL_USE_DOMAIN_NAMES, EmailNotValidError, validate_email

from libs.common.domain.json_values import CONTROL

# The library's own way to accept names that nobody can own (.test, .local, localhost): developers and tests live there,
# and whether an address works shows at sending anyway.
SPECIAL_USE_DOMAIN_NAMES.clear()

_SUBSCRIBER_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._~-]{0,127}", re.ASCII)
_PHONE = re.compile(r"\+[1-9]\d{6,14}", re.ASCII)
_PHONE_PUNCTUATION = re.compile(r"[ ().-]")
_LOCALE = re.compile(r"[A-Za-z]{2,3}(?:-[A-Za-z0-9]{2,8}){0,3}", re.ASCII)
_MAX_EMAIL = 254
_MAX_NAME = 200


def parse_email(text: str) -> str:
    """The address in its canonical form: normalised, lower case. Raises ValueError.

    Lower case, since no mail system in use tells `Anna@` from `anna@`, and people do not either.
    """
    if len(text) > _MAX_EMAIL + 64:
        raise ValueError(f"must not be longer than {_MAX_EMAIL} characters")
    try:
        found = validate_email(text.strip(" "), strict=True, check_deliverability=False, globally_deliverable=False)
    except EmailNotValidError as error:
        # Its messages quote at most single characters, never the address.
        raise ValueError(f"is not an e-mail address: {error}") from None
    return found.normalized.lower()


def parse_phone(text: str) -> str:
    """The number in E.164 (`+491701234567`); spaces, dots, dashes and brackets are dropped. Raises ValueError."""
    number = _PHONE_PUNCTUATION.sub("", text.strip(" "))
    if _PHONE.fullmatch(number) is None:
        raise ValueError("must be a phone number with its country code, such as +491701234567")
    return number


def parse_locale(text: str) -> str:
    """A BCP 47 language tag (`de`, `pt-BR`); underscores become dashes. Raises ValueError."""
    tag = text.strip(" ").replace("_", "-")
    if _LOCALE.fullmatch(tag) is None:
        raise ValueError("must be a language tag such as en or pt-BR")
    return tag


def parse_name(text: str) -> str:
    """A name or title of one line. Raises ValueError: it ends up in headers of messages."""
    name = text.strip()
    if CONTROL.search(name) or len(name) > _MAX_NAME:
        raise ValueError(f"must be one line of at most {_MAX_NAME} characters")
    return name


def parse_subscriber_id(text: str) -> str:
    """An id of a subscriber. No `@` and no `+`: an address or a number must not serve as one, since ids go into the
    log. Raises ValueError."""
    if _SUBSCRIBER_ID.fullmatch(text) is None:
        raise ValueError("must be 1 to 128 letters, digits and . _ ~ -, beginning with a letter or digit")
    return text
