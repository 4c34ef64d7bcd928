"""What a template is: versions of words per channel and language, and which of them a recipient gets. Pure; renders
nothing.

A version is a draft until it is published; from then on it never changes. The current version is the newest published
one. Deleting publishes a last version that says `deleted`: numbers are never used again, so a version means the same
words for ever, in every cache and for every delivery under way.
"""

from collections.abc import Iterable
from datetime import datetime

import msgspec

from libs.common.domain.channels import Channel

DEFAULT_LOCALE = "default"
"""The language of last resort."""

STAND_IN: dict[Channel, tuple[Channel, ...]] = {
    Channel.INAPP: (Channel.PUSH, Channel.EMAIL),
    Channel.WEBHOOK: (Channel.INAPP, Channel.PUSH, Channel.EMAIL),
}
"""Whose words a channel without words of its own uses. SMS and PUSH have no stand-in: length costs money there."""


class Variant(msgspec.Struct, frozen=True, kw_only=True):
    """The words for one channel in one language."""

    channel: Channel
    locale: str = DEFAULT_LOCALE
    subject: str = ""
    """The subject of an e-mail, the title of a push notification or a feed entry."""
    text: str
    html: str = ""


class Template(msgspec.Struct, frozen=True, kw_only=True):
    """One version of a template. `revision` counts the changes of a draft."""

    tenant: str
    template_id: str
    version: int = 1
    revision: int = 1
    name: str = ""
    published: bool = False
    deleted: bool = False
    variants: tuple[Variant, ...]
    created_at: datetime
    updated_at: datetime


class Shelf(msgspec.Struct, frozen=True, kw_only=True):
    """A template as it stands: its current version, and the draft of the next one."""

    current: Template | None = None
    draft: Template | None = None

    @property
    def newest(self) -> Template:
        """The version that an editor goes on from."""
        found = self.draft or self.current
        if found is None:
            raise ValueError("a shelf is never empty")
        return found


def shelve(versions: Iterable[Template]) -> Shelf | None:
    """What the versions of one template come to; None when there are none, or the template was deleted since."""
    newest_first = sorted(versions, key=lambda found: found.version, reverse=True)
    draft = next((found for found in newest_first[:1] if not found.published), None)
    current = next((found for found in newest_first if found.published), None)
    if current is not None and current.deleted:
        current = None
    return Shelf(current=current, draft=draft) if current or draft else None


def locale_chain(locale: str) -> tuple[str, ...]:
    """The locales to look for, nearest first: `pt-BR` gives `pt-br`, `pt`, `default` (RFC 4647, lookup)."""
    parts = [part for part in locale.replace("_", "-").lower().split("-") if part]
    chain = ["-".join(parts[:length]) for length in range(len(parts), 0, -1)]
    # A single letter or digit only introduces what follows it: `zh-Hant-x-old` is next looked up as `zh-Hant`.
    return (*(found for found in chain if len(found.rpartition("-")[2]) > 1), DEFAULT_LOCALE)


def choose_variant(variants: Iterable[Variant], channel: Channel, locale: str) -> Variant | None:
    """The words for a recipient: the channel first, then the nearest language; None when there are none."""
    by_place = {(found.channel, found.locale.replace("_", "-").lower()): found for found in variants}
    for wanted in (channel, *STAND_IN.get(channel, ())):
        for nearest in locale_chain(locale):
            if (wanted, nearest) in by_place:
                return by_place[wanted, nearest]
    return None


def variants_for(variants: Iterable[Variant], channel: Channel) -> tuple[Variant, ...]:
    """The words of every language that recipients on this channel may get."""
    found = tuple(variants)
    for wanted in (channel, *STAND_IN.get(channel, ())):
        if chosen := tuple(variant for variant in found if variant.channel is wanted):
            return chosen
    return ()
