"""Bodies and answers of `/subscribe`, `/token` and the feed."""

from typing import Annotated

import msgspec
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from libs.common.domain.shown import FeedItem
from services.api.schemas.fields import Body, Email, Flag
from services.api.schemas.preferences import Preferences
from services.api.security.passwords import MAX_BYTES, MIN_CHARACTERS


def _password(text: str) -> str:
    if len(text) < MIN_CHARACTERS or len(text.encode("utf-8", "replace")) > MAX_BYTES:
        raise ValueError(f"must have at least {MIN_CHARACTERS} characters and at most {MAX_BYTES} bytes")
    return text


Password = Annotated[str, AfterValidator(_password), Field(repr=False, examples=["password123"])]


class Subscribe(Body):
    """Somebody subscribes, or subscribes again."""

    email: Email
    password: Password
    subscribed: Flag = Field(True, description="false: the account is made, nothing is delivered yet.")
    preferences: Preferences = Field(default_factory=Preferences)


class Login(BaseModel):
    """The form of OAuth 2's password grant; its other fields are of no use here and ignored."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    username: str = Field(description="The e-mail address.")
    password: str = Field(repr=False)


class Message(msgspec.Struct, frozen=True):
    """Done."""

    message: str


class Token(msgspec.Struct, frozen=True):
    """An access token."""

    access_token: str
    expires_in: int
    token_type: str = "bearer"  # noqa: S105 - the name of a scheme


class Stats(msgspec.Struct, frozen=True):
    """How many people are subscribed."""

    subscribers: int


class FeedPage(msgspec.Struct, frozen=True):
    """A page of a feed, newest first. `next_cursor` null: it was the last."""

    items: list[FeedItem]
    next_cursor: str | None
