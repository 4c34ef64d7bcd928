"""Which words a recipient gets, and what the versions of a template come to."""

from datetime import UTC, datetime

import pytest

from libs.common.domain.channels import Channel
from libs.common.domain.templates import Template, Variant, choose_variant, locale_chain, shelve, variants_for

NOW = datetime(2030, 1, 1, tzinfo=UTC)


def version(number: int, **more: bool) -> Template:
    return Template(tenant="acme", template_id="t", version=number, variants=(), created_at=NOW, updated_at=NOW, **more)


@pytest.mark.parametrize(
    ("locale", "chain"),
    [
        ("pt-BR", ("pt-br", "pt", "default")),
        ("pt_BR", ("pt-br", "pt", "default")),
        ("zh-Hant-TW", ("zh-hant-tw", "zh-hant", "zh", "default")),
        ("zh-Hant-x-old", ("zh-hant-x-old", "zh-hant", "zh", "default")),
        ("de", ("de", "default")),
        ("", ("default",)),
        ("-", ("default",)),
    ],
)
def test_a_locale_falls_back_to_its_language_and_then_to_the_default(locale: str, chain: tuple[str, ...]) -> None:
    assert locale_chain(locale) == chain


VARIANTS = (
    Variant(channel=Channel.EMAIL, text="mail"),
    Variant(channel=Channel.EMAIL, locale="pt", text="mail pt"),
    Variant(channel=Channel.EMAIL, locale="pt_BR", text="mail pt-BR"),
    Variant(channel=Channel.PUSH, locale="de", text="push de"),
)


@pytest.mark.parametrize(
    ("channel", "locale", "words"),
    [
        (Channel.EMAIL, "PT-br", "mail pt-BR"),
        (Channel.EMAIL, "pt-PT", "mail pt"),
        (Channel.EMAIL, "fr", "mail"),
        (Channel.PUSH, "de-AT", "push de"),
        (Channel.PUSH, "fr", None),
        (Channel.INAPP, "de", "push de"),
        (Channel.INAPP, "fr", "mail"),
        (Channel.WEBHOOK, "pt", "mail pt"),
        (Channel.SMS, "pt", None),
    ],
)
def test_the_nearest_words_are_chosen(channel: Channel, locale: str, words: str | None) -> None:
    found = choose_variant(VARIANTS, channel, locale)
    assert (found.text if found else None) == words


def test_what_a_channel_may_use_are_its_own_words_or_its_stand_ins() -> None:
    assert [found.text for found in variants_for(VARIANTS, Channel.EMAIL)] == ["mail", "mail pt", "mail pt-BR"]
    assert [found.text for found in variants_for(VARIANTS, Channel.INAPP)] == ["push de"]
    assert variants_for(VARIANTS, Channel.SMS) == ()


@pytest.mark.parametrize(
    ("versions", "current", "draft"),
    [
        ([version(1)], None, 1),
        ([version(1, published=True)], 1, None),
        ([version(1, published=True), version(2)], 1, 2),
        ([version(2, published=True), version(1, published=True)], 2, None),
        ([version(1, published=True), version(2, published=True, deleted=True), version(3)], None, 3),
    ],
)
def test_the_newest_published_version_is_current(
    versions: list[Template], current: int | None, draft: int | None
) -> None:
    shelf = shelve(versions)
    assert shelf is not None
    assert (shelf.current and shelf.current.version, shelf.draft and shelf.draft.version) == (current, draft)
    assert shelf.newest.version == (draft or current)


def test_a_deleted_template_is_not_there() -> None:
    assert shelve([]) is None
    assert shelve([version(1, published=True), version(2, published=True, deleted=True)]) is None
