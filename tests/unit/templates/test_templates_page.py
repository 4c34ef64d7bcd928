"""docs/templates.md tells the truth: every example and every refusal on the page is run."""

import re
from pathlib import Path
from typing import Any

import msgspec
import pytest

from libs.common.domain.channels import Channel
from libs.common.domain.templates import Variant, locale_chain
from libs.common.templates.filters import FILTERS, MAX_RANGE, TESTS
from libs.common.templates.language import MAX_SOURCE, NotAllowed
from libs.common.templates.meter import MAX_STEPS, MAX_TEXT
from libs.common.templates.rendering import BUILT_IN, CannotRender, compile_source, render
from libs.common.templates.validation import MAX_VARIANTS
from services.api.schemas.templates import NewTemplate

PAGE = Path(__file__).parents[3].joinpath("docs", "templates.md").read_text("utf-8")
BLOCKS = re.findall(r"^```([\w-]+)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
EXAMPLES = [(kind, text.splitlines()) for kind, text in BLOCKS if kind in ("template", "html-template")]
REFUSALS = re.findall(r"^\| `(\{.+)` \| (.+) \|$", PAGE, re.MULTILINE)
LOCALES = re.findall(r"^\| `([\w-]+)` \| (`.+`) \|$", PAGE, re.MULTILINE)


def listed(heading: str) -> set[str]:
    """The words in backticks after a heading, up to the next sentence."""
    return set(re.findall(r"`(\w+)`", PAGE.split(f"\n{heading}: ")[1].split(".")[0]))


def outcome(source: str, variables: dict[str, Any], is_html: bool) -> str:
    """What comes out, or why nothing does."""
    text, html = ("", source) if is_html else (source, "")
    variant = Variant(channel=Channel.EMAIL, text=text, html=html)
    try:
        made = render(variant, Channel.EMAIL, BUILT_IN | variables)
    except CannotRender as error:
        return f"fails {error.reason}"
    return f"gives {made.html if is_html else made.text}"


def test_the_page_has_examples_of_everything() -> None:
    assert (len(EXAMPLES), len(REFUSALS), len(LOCALES)) == (6, 9, 3)


@pytest.mark.parametrize(("kind", "lines"), EXAMPLES, ids=lambda given: given[0] if isinstance(given, list) else given)
def test_an_example_gives_what_the_page_says(kind: str, lines: list[str]) -> None:
    source, *rest = lines
    assert len(rest) >= 2
    for given, expected in zip(rest[::2], rest[1::2], strict=True):
        variables = msgspec.json.decode(given.removeprefix("with "))
        assert outcome(source, variables, kind == "html-template") == expected


@pytest.mark.parametrize(("source", "reason"), REFUSALS)
def test_a_refusal_is_worded_as_on_the_page(source: str, reason: str) -> None:
    with pytest.raises(NotAllowed) as refusal:
        compile_source(source.replace("\\|", "|"), False)
    assert reason in str(refusal.value)


@pytest.mark.parametrize(("locale", "chain"), LOCALES)
def test_languages_are_looked_for_in_the_order_on_the_page(locale: str, chain: str) -> None:
    assert ", ".join(f"`{found}`" for found in locale_chain(locale)) == chain


async def test_the_template_on_the_page_can_be_made() -> None:
    [body] = [text for kind, text in BLOCKS if kind == "new-template"]
    made = NewTemplate.model_validate_json(body)
    assert await made.flaws() == []
    assert await made.needed() == {"order"}


def test_the_lists_are_complete() -> None:
    assert listed("Filters") == set(FILTERS)
    assert listed("Tests") == set(TESTS)
    assert set(re.findall(r"^- `(\w+)`:", PAGE, re.MULTILINE)) == set(BUILT_IN)


def test_the_limits_are_those_on_the_page() -> None:
    assert (
        f"a source has {MAX_SOURCE // 1024} KB, a message has {MAX_TEXT // 1024} KB, a `range` {MAX_RANGE:,} numbers, "
        f"a template {MAX_VARIANTS} variants"
    ) in " ".join(PAGE.split())
    assert f"{MAX_STEPS:,} steps" in PAGE
