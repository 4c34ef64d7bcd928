"""What is said of a template before it is stored and before it is used."""

import pytest
from jinja2 import nodes

from libs.common.domain.channels import Channel
from libs.common.domain.templates import Variant
from libs.common.templates.markup import find_misuse
from libs.common.templates.validation import MAX_VARIANTS, required_variables, validate

MAIL = Variant(channel=Channel.EMAIL, subject="Hi", text="Hello", html="<b>Hello</b>")


def test_a_good_template_has_no_flaws() -> None:
    sms = Variant(channel=Channel.SMS, text="Hello {{ name }}", locale="pt_BR")
    push = Variant(channel=Channel.PUSH, subject="Hi", text="Hello")
    feed = Variant(channel=Channel.INAPP, text="Hello")
    assert validate([MAIL, sms, push, feed]) == []


@pytest.mark.parametrize(
    ("variant", "pointer", "message"),
    [
        (Variant(channel=Channel.EMAIL, text="x"), "subject", "is required"),
        (Variant(channel=Channel.EMAIL, subject="x", text=" "), "text", "is required"),
        (Variant(channel=Channel.SMS, subject="x", text="x"), "subject", "SMS has none"),
        (Variant(channel=Channel.PUSH, subject="x", text="x", html="x"), "html", "PUSH has none"),
        (Variant(channel=Channel.SMS, text="x", locale="x y"), "locale", "must be a language tag"),
        (Variant(channel=Channel.SMS, text="x", locale=""), "locale", "must be a language tag"),
        (Variant(channel=Channel.SMS, text="a\n{{ b"), "text", "line 2: "),
        (Variant(channel=Channel.EMAIL, subject="{{ 'a' ** 2 }}", text="x"), "subject", "** is not allowed"),
        (Variant(channel=Channel.EMAIL, subject="x", text="x", html="<p {{ a }}>"), "html", "must stand in quotes"),
    ],
)
def test_a_flaw_is_told_with_its_place(variant: Variant, pointer: str, message: str) -> None:
    flaws = validate([MAIL, variant] if variant.channel is not Channel.EMAIL else [variant])
    index = 1 if variant.channel is not Channel.EMAIL else 0
    assert [flaw.pointer for flaw in flaws] == [f"variants[{index}].{pointer}"]
    assert message in flaws[0].message


def test_two_variants_for_the_same_place_are_refused() -> None:
    sms = [Variant(channel=Channel.SMS, text="x", locale=locale) for locale in ("pt-BR", "pt_br")]
    assert [flaw.pointer for flaw in validate(sms)] == ["variants[1]"]


@pytest.mark.parametrize("count", [0, MAX_VARIANTS + 1])
def test_there_are_some_variants_and_not_too_many(count: int) -> None:
    assert [flaw.pointer for flaw in validate([MAIL] * count)] == ["variants"]


@pytest.mark.parametrize(
    ("source", "needed"),
    [
        ("{{ a }} {{ b.c }} {{ d['e'] }}", {"a", "b", "d"}),
        ("{{ name }} {{ subscriber_id }} {{ unsubscribe_url }}", set()),
        ("{{ a|default('x') }} {{ b|d }} {{ c }}", {"c"}),
        ("{% if a is defined %}{{ a }}{% endif %}", set()),
        ("{% if a %}{{ b }}{% elif c %}{{ d }}{% else %}{{ e }}{% endif %}", {"a"}),
        ("{% for x in xs %}{{ x }}{{ y }}{% endfor %}", {"xs"}),
        ("{% set q = a %}{{ q }}", {"a"}),
        ("{{ a if b else c }}", {"b"}),
        ("{{ a and b }} {{ c or d }}", {"a", "c"}),
        ("{{ a < b < c }}", {"a", "b"}),
        ("{{ a ~ b|upper|replace(c, 'x') }}", {"a", "b", "c"}),
        ("nothing", set()),
    ],
)
def test_only_what_is_missed_for_sure_is_required(source: str, needed: set[str]) -> None:
    assert required_variables([(Channel.SMS, Variant(channel=Channel.SMS, text=source))]) == needed


def test_what_is_required_depends_on_the_words_and_their_channel() -> None:
    mail = Variant(channel=Channel.EMAIL, subject="{{ a }}", text="{{ b }}", html="{{ c }}")
    sms = Variant(channel=Channel.SMS, text="{{ d }}")
    assert required_variables([(Channel.EMAIL, mail), (Channel.SMS, sms)]) == {"a", "b", "c", "d"}
    assert required_variables([(Channel.INAPP, mail)]) == {"a", "b"}, "the feed shows the mail's text, not its HTML"
    assert required_variables([]) == set()


@pytest.mark.parametrize("piece", ["<", "<!", "<!-", "</", "<a", "<!<"])
def test_html_that_is_all_beginnings_is_read_once(piece: str) -> None:
    """64 KB of `<` kept the process for 16 s: each was read up to the end, and the end went back. A megabyte of them
    would take an hour so, far beyond the time that a test has."""
    written = nodes.Template([nodes.Output([nodes.TemplateData(piece * (1_000_000 // len(piece)))])])

    assert find_misuse(written) == ""


@pytest.mark.parametrize(
    "html", ["<!doctype {{ a }}>", "<!x<5 {{ a }}", "<{{ a }}", "</{{ a }}", "<b{{ a }}", "<b<i{{ a }}", "<!{{ a }}>"]
)
def test_a_value_in_a_tags_name_or_in_a_declaration_is_refused(html: str) -> None:
    [flaw] = validate([Variant(channel=Channel.EMAIL, subject="x", text="x", html=html)])
    assert "must stand in quotes" in flaw.message
