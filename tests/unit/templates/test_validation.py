"""What is said of a template before it is stored and before it is used."""

from datetime import UTC, datetime

import pytest

from libs.common.domain.channels import Channel
from libs.common.domain.templates import Template, Variant
from libs.common.templates.validation import MAX_VARIANTS, required_variables, validate

NOW = datetime(2030, 1, 1, tzinfo=UTC)
MAIL = Variant(channel=Channel.EMAIL, subject="Hi", text="Hello", html="<b>Hello</b>")


def template(*variants: Variant) -> Template:
    return Template(tenant="acme", template_id="t", variants=variants, created_at=NOW, updated_at=NOW)


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
    assert required_variables(template(Variant(channel=Channel.SMS, text=source))) == needed


def test_what_is_required_depends_on_the_channels() -> None:
    found = template(
        Variant(channel=Channel.EMAIL, subject="{{ a }}", text="{{ b }}", html="{{ c }}"),
        Variant(channel=Channel.EMAIL, locale="de", subject="x", text="{{ d }}"),
        Variant(channel=Channel.SMS, text="{{ e }}"),
    )
    assert required_variables(found, [Channel.EMAIL]) == {"a", "b", "c", "d"}
    assert required_variables(found, [Channel.SMS]) == {"e"}
    assert required_variables(found, [Channel.INAPP]) == {"a", "b", "d"}, "the feed shows the mail's text, not its HTML"
    assert required_variables(found, [Channel.PUSH]) == set()
