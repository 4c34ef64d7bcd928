"""Bodies and answers of `/templates`: words by channel, and by language where there is more than one."""

import asyncio
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any

import msgspec
from pydantic import Field, model_validator

from libs.common.domain.channels import Channel
from libs.common.domain.errors import Flaw, InvalidInput
from libs.common.domain.templates import DEFAULT_LOCALE, Shelf, Template, Variant
from libs.common.templates.catalogue import Words
from libs.common.templates.validation import required_variables, validate
from services.api.schemas.fields import Body, Flag, Name, SubscriberId

_MAX_SOURCE = 64 * 1024
_MAX_LOCALES = 50

Source = Annotated[str, Field(max_length=_MAX_SOURCE)]
RESERVED = frozenset({"validate"})
"""Ids that are names of routes."""


class ChannelWords(Body):
    """The words for one channel. `body` and `title` are other names for `text` and `subject`."""

    subject: Source = Field("", description="The subject of an e-mail, the title of a push notification.")
    text: Source = Field("", examples=["Hello {{ name }}!"])
    html: Source = Field("", description="E-mail only.", examples=["<p>Hello {{ name }}!</p>"])

    @model_validator(mode="before")
    @classmethod
    def _read_other_names(cls, given: Any) -> Any:
        if not isinstance(given, Mapping):
            return given
        read = dict(given)
        for other, name in (("body", "text"), ("title", "subject")):
            if other in read:
                if name in read:
                    raise ValueError(f"{name} is given twice, also as {other}")
                read[name] = read.pop(other)
        return read


ByChannel = Annotated[dict[Channel, ChannelWords], Field(max_length=len(Channel))]


class TemplateBody(Body):
    """A template's words. They are in use at once, unless `draft` is true."""

    name: Name = ""
    channels: ByChannel = Field(
        default_factory=dict,
        description="In the language of last resort.",
        examples=[{"SMS": {"text": "Hi {{ name }}"}}],
    )
    locales: dict[str, ByChannel] = Field(
        default_factory=dict,
        max_length=_MAX_LOCALES,
        description="In other languages, by language tag.",
        examples=[{"de": {"SMS": {"text": "Hallo {{ name }}"}}}],
    )
    draft: Flag = Field(False, description="true: kept for editing, not in use before it is published.")
    revision: int | None = Field(None, ge=1, description="Of the draft that was read; another one by now: 422.")

    async def checked(self) -> Words:
        """The words, every one of which can be rendered. Raises InvalidInput with every flaw, by place."""
        if flaws := await self.flaws():
            raise InvalidInput(*flaws)
        return Words(self.name, tuple(self._placed().values()))

    async def flaws(self) -> list[Flaw]:
        """What is wrong with the words."""
        placed = self._placed()
        if not placed:
            return [Flaw("channels", "must have the words for at least one channel")]
        found = await asyncio.to_thread(validate, tuple(placed.values()))
        places = {f"variants[{index}]": place for index, place in enumerate(placed)}
        return [Flaw(_replaced(flaw.pointer, places), flaw.message) for flaw in found]

    async def needed(self) -> set[str]:
        """The variables without which it cannot be rendered."""
        words = [(variant.channel, variant) for variant in self._placed().values()]
        return await asyncio.to_thread(required_variables, words)

    def _placed(self) -> dict[str, Variant]:
        """The variants by where they stand in the body."""
        texts = {"channels": (DEFAULT_LOCALE, self.channels)}
        texts |= {f"locales.{locale}": (locale, words) for locale, words in self.locales.items()}
        return {
            f"{place}.{channel}": Variant(
                channel=channel, locale=locale, subject=words.subject, text=words.text, html=words.html
            )
            for place, (locale, by_channel) in texts.items()
            for channel, words in by_channel.items()
        }


class NewTemplate(TemplateBody):
    """A template to be."""

    id: SubscriberId | None = Field(None, description="Drawn when left out.", examples=["tpl_002"])


class PublishDraft(Body):
    """Which draft to publish."""

    revision: int | None = Field(None, ge=1, description="Of the draft that was read; another one by now: 422.")


class Preview(Body):
    """What to render."""

    channel: Channel = Channel.EMAIL
    locale: str = Field("", max_length=100, examples=["de"])
    variables: dict[str, Any] = Field(default_factory=dict, examples=[{"name": "Ada"}])
    draft: Flag = Field(False, description="The draft instead of the current version.")


class Rendering(msgspec.Struct, frozen=True):
    """What a recipient would get."""

    subject: str
    text: str
    html: str


class Verdict(msgspec.Struct, frozen=True):
    """Whether a template can be stored, what is wrong with it, and what it needs to be given."""

    valid: bool
    errors: list[dict[str, str]]
    variables: list[str]


class ShownWords(msgspec.Struct, frozen=True):
    """The words for one channel."""

    subject: str
    text: str
    html: str


class ShownTemplate(msgspec.Struct, frozen=True, kw_only=True):
    """A version of a template. `draft_revision` null: nobody is working on the next one."""

    id: str
    name: str
    version: int
    revision: int
    published: bool
    draft_revision: int | None = None
    channels: dict[str, ShownWords]
    locales: dict[str, dict[str, ShownWords]]
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, found: Template, shelf: Shelf | None = None) -> "ShownTemplate":
        """What is shown of a version."""
        locales: dict[str, dict[str, ShownWords]] = {}
        for variant in found.variants:
            shown = ShownWords(variant.subject, variant.text, variant.html)
            locales.setdefault(variant.locale, {})[variant.channel.value] = shown
        draft = shelf.draft if shelf else None
        return cls(
            id=found.template_id,
            name=found.name,
            version=found.version,
            revision=found.revision,
            published=found.published,
            draft_revision=draft.revision if draft else None,
            channels=locales.pop(DEFAULT_LOCALE, {}),
            locales=locales,
            created_at=found.created_at,
            updated_at=found.updated_at,
        )


class TemplateSummary(msgspec.Struct, frozen=True, kw_only=True):
    """A template or a version of it, without its words."""

    id: str
    name: str
    version: int
    published: bool
    updated_at: datetime

    @classmethod
    def of(cls, found: Template) -> "TemplateSummary":
        """What is shown of a version in a list."""
        return cls(
            id=found.template_id,
            name=found.name,
            version=found.version,
            published=found.published,
            updated_at=found.updated_at,
        )


class TemplatePage(msgspec.Struct, frozen=True):
    """A page of templates by id, or of versions, the newest first. `next_cursor` null: it was the last."""

    items: list[TemplateSummary]
    next_cursor: str | None = None


def _replaced(pointer: str, places: Mapping[str, str]) -> str:
    variant, dot, rest = pointer.partition(".")
    return places.get(variant, "channels") + dot + rest
