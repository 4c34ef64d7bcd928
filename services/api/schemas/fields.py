"""Fields that several bodies have, each with the rule that decides what it may hold."""

from collections.abc import Callable
from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from libs.common.domain.channels import Channel
from libs.common.domain.json_values import CONTROL
from libs.common.domain.people import parse_email, parse_locale, parse_name, parse_phone, parse_subscriber_id
from libs.common.domain.windows import parse_time_zone, parse_window

MAX_CHOICES = 200
"""Topics, priorities or categories in one list."""


class Body(BaseModel):
    """A request's body: what is not named in it is refused, so that nobody can set what is not theirs to set."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def _word(text: str) -> str:
    word = text.strip()
    if not word or len(word) > 256 or CONTROL.search(word):
        raise ValueError("must be one line of 1 to 256 characters")
    return word


def _window(text: str) -> str:
    parse_window(text)
    return text.strip().lower()


def _time_zone(text: str) -> str:
    return parse_time_zone(text.strip()).key


def _flag(value: object) -> object:
    # Pydantic's own strictness does not help: the framework validates with `strict=False`, which overrules it.
    if not isinstance(value, bool):
        raise ValueError("must be true or false")
    return value


def _optional(text: str, parse: Callable[[str], str]) -> str:
    return parse(text) if text.strip() else ""


Flag = Annotated[bool, BeforeValidator(_flag)]
Word = Annotated[str, AfterValidator(_word)]
WindowText = Annotated[
    str, AfterValidator(_window), Field(description="`HH:MM-HH:MM`, or `now`.", examples=["08:00-20:00"])
]
TimeZone = Annotated[str, AfterValidator(_time_zone), Field(description="IANA.", examples=["Europe/Berlin"])]
Email = Annotated[str, AfterValidator(parse_email), Field(examples=["test@example.com"])]
OptionalEmail = Annotated[str, AfterValidator(lambda text: _optional(text, parse_email))]
OptionalPhone = Annotated[
    str, AfterValidator(lambda text: _optional(text, parse_phone)), Field(examples=["+491701234567"])
]
OptionalLocale = Annotated[str, AfterValidator(lambda text: _optional(text, parse_locale)), Field(examples=["pt-BR"])]
Name = Annotated[str, AfterValidator(parse_name)]
SubscriberId = Annotated[str, AfterValidator(parse_subscriber_id)]
Words = Annotated[tuple[Word, ...], Field(max_length=MAX_CHOICES)]
Windows = Annotated[tuple[WindowText, ...], Field(max_length=24)]
Channels = Annotated[tuple[Channel, ...], Field(max_length=len(Channel))]
