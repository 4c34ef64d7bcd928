"""Templates that try to get at Python, at time or at memory: refused when they are written, or ended when they run."""

import pytest

from libs.common.domain.channels import Channel
from libs.common.domain.templates import Variant
from libs.common.templates.language import NotAllowed
from libs.common.templates.meter import MAX_TEXT, Meter
from libs.common.templates.rendering import TEMPLATE_ERROR, CannotRender, Rendered, compile_source, render

BIG = "x" * 60_000
VALUES = {
    "a": "b",
    "big": BIG,
    "bigger": BIG + "y",
    "lots": [1] * 1_000,
    "more": [1] * 1_000,
    "accents": "é" * 60_000,
    "euros": "€" * 7_000,
    "wide": "%0999999d",
    "order": {"id": 7, "items": [1, 2], "__class__": "no way in"},
}

REFUSED = {
    "{{ ''.__class__ }}": "names do not begin with an underscore",
    "{{ a.__class__.__mro__ }}": "names do not begin with an underscore",
    "{{ 'a'|attr('__class__') }}": "there is no filter 'attr'",
    "{{ 'a'*10**9 }}": "** is not allowed",
    "{{ 'a'|center(10**8) }}": "there is no filter 'center'",
    "{{ 'a'|indent(100000000) }}": "there is no filter 'indent'",
    "{{ '%100000000d'|format(1) }}": "there is no filter 'format'",
    "{{ a|safe }}": "there is no filter 'safe'",
    "{{ a.upper() }}": "calls are not allowed",
    "{{ '{:>100000000}'.format(1) }}": "calls are not allowed",
    "{{ range(*order) }}": "calls are not allowed",
    "{{ range(stop=3) }}": "calls are not allowed",
    "{{ a[0:10] }}": "slices are not allowed",
    "{{ {'a': 1} }}": "objects cannot be written",
    "{{ a|upper(1) }}": "there is no filter 'upper' with such arguments",
    "{{ a is callable }}": "there is no test 'callable'",
    "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}": "calls are not allowed",
    "{% macro m() %}{% endmacro %}": "macros are not allowed",
    "{% for x in order recursive %}x{% endfor %}": "recursion is not allowed",
    "{% include 'other' %}": "includes are not allowed",
    "{% import 'other' as o %}": "imports are not allowed",
    "{% from 'other' import o %}": "imports are not allowed",
    "{% extends 'other' %}": "inheritance is not allowed",
    "{% block b %}{% endblock %}": "blocks are not allowed",
    "{% set x %}{{ a }}{% endset %}": "only single values can be set",
    "{% set a, b = 1, 2 %}": "only single values can be set",
    "{% filter upper %}a{% endfilter %}": "filters apply to single values only",
    "{% autoescape false %}{{ a }}{% endautoescape %}": "is not allowed here",
    "{% with x = 1 %}{% endwith %}": "is not allowed here",
    "{{ a": "line 1: unexpected end of template",
    "{% for %}": "line 1: ",
    "one\ntwo {% nothing %}": "line 2: Encountered unknown tag 'nothing'",
    "a" * 1_000_000: "must not be larger than 64 KB",
    "é" * 40_000: "must not be larger than 64 KB",
    "{{ a }}" * 3_500: "is too large",
    "{{ 1" + "+1" * 5_000 + " }}": "is too large",
    "{{ " + "(" * 5_000 + "1" + ")" * 5_000 + " }}": "is nested too deeply",
    "{{ " + "-" * 5_000 + "1 }}": "is nested too deeply",
    "{% if a %}" * 60 + "{% endif %}" * 60: "is too large",
    "{% for x in order %}" * 25 + "{% endfor %}" * 25: "is nested too deeply",
    "{{ " + "9" * 5_000 + " }}": "a number that is too long",
    "a\n{% for loop in order %}{% endfor %}": "line 2: Can't assign to special loop variable",
    "{% for a, loop in order %}{% endfor %}": "line 1: Can't assign to special loop variable",
    "{{ 1e400 }}": "a number is too large",
    "{{ -1e400 }}": "a number is too large",
    "{% if 1 in [1, [2 + 1e999]] %}{% endif %}": "a number is too large",
    "{{ 1|fixed(digits=1e400) }}": "a number is too large",
    "{{ range(1e400)|length }}": "a number is too large",
    "a\x00b": "NUL",
    "a\ud800b": "surrogates",
}

ENDED = [
    "{{ 'a' * 1000000000 }}",
    "{{ [a] * 1000000000 }}",
    "{{ '%1000000000d' % 1 }}",
    "{% if wide is even %}{% endif %}",
    "{% if wide is odd %}{% endif %}",
    "{% if wide is divisibleby(3) %}{% endif %}",
    "{% if 3 is divisibleby(wide) %}{% endif %}",
    "{% if 3 is divisibleby(num=wide) %}{% endif %}",
    "{% if '4' is even %}{% endif %}",
    "{% if lots is odd %}{% endif %}",
    "{% if 3 is divisibleby(0) %}{% endif %}",
    "{% if " + "9" * 100 + " is even %}{% endif %}",
    "{{ order + order }}",
    "{{ range(1001)|length }}",
    "{{ range(10, 1, -1)|length }}",
    "{{ range(a)|length }}",
    "{{ 1 / 0 }}",
    "{{ (1e308 * 10)|int }}",
    "{{ 1|fixed(1000) }}",
    "{{ a|replace('', 'x') }}",
    "{{ a|int }}",
    "{{ big|int }}",
    "{{ 1|length }}",
    "{{ 1|items }}",
    "{{ 1|first }}",
    "{{ order }}",
    "{{ lots }}",
    "{{ self }}",
    "{{ 1 < a }}",
    "{{ [1] in order }}",
    "{{ big }}{{ big }}",
    "{{ big ~ big }}",
    "{{ big + big }}",
    "{{ [big, big]|join }}",
    "{% for c in a %}{{ c }}{% endfor %}",
    "{% for x, y in lots %}{% endfor %}",
    "{% for x in range(1000) %}{{ 'x' * 1 }}{% endfor %}",
    "{% set x = 9 %}" + "{% set x = x * x %}" * 40 + "{{ x }}",
    "{% set x = 'aa' %}" + "{% set x = x ~ x %}" * 40 + "{{ x }}",
    "{% set x = 'aa' %}" + "{% set x = x + x %}" * 40 + "{{ x }}",
    "{% set x = 'aa' %}" + "{% set x = x|replace('a', 'aa') %}" * 40 + "{{ x }}",
    "{% set x = [1] %}" + "{% set x = [x, x] %}" * 40 + "{{ x == x }}",
    "{% for x in range(1000) %}" * 3 + "x" + "{% endfor %}" * 3,
    "{% for x in range(1000) %}" * 10 + "x" + "{% endfor %}" * 10,
    "{% for x in range(1000) if x in range(1000) %}{% for y in lots if y == lots %}{% endfor %}{% endfor %}",
    "{% for x in range(20) %}{% set q = euros|urlencode %}{% endfor %}",
    *(
        "{% for x in range(100) %}{% set q = accents|" + change + " %}{% endfor %}"
        for change in ("lower", "upper", "title", "capitalize")
    ),
    *(
        "{% for x in range(1000) %}" + step * 4 + "{% endfor %}"
        for step in (
            "{% if big == bigger %}{% endif %}",
            "{% if big in bigger %}{% endif %}",
            "{% if lots == more %}{% endif %}",
            "{% set q = big|title %}",
            "{% set q = big|urlencode %}",
            "{% set q = big|replace('x', 'y') %}",
            "{% set q = lots|join %}",
            "{% set q = big ~ a %}",
        )
    ),
]


def run(text: str) -> Rendered:
    return render(Variant(channel=Channel.SMS, text=text), Channel.SMS, VALUES)


@pytest.mark.parametrize(("source", "why"), REFUSED.items(), ids=lambda text: text[:40].encode("ascii", "replace"))
def test_what_is_not_in_the_language_is_refused_when_it_is_written(source: str, why: str) -> None:
    with pytest.raises(NotAllowed) as refusal:
        compile_source(source, False)
    assert why in str(refusal.value)


@pytest.mark.parametrize("source", ENDED, ids=lambda text: text[:60])
def test_what_asks_too_much_is_ended(source: str) -> None:
    compile_source(source, False)
    with pytest.raises(CannotRender) as end:
        run(source)
    assert end.value.reason == TEMPLATE_ERROR
    assert BIG not in str(end.value)


@pytest.mark.parametrize("source", [*REFUSED, *ENDED], ids=lambda text: text[:40].encode("ascii", "replace"))
def test_none_of_them_comes_to_an_end_of_its_own(source: str) -> None:
    """How long the dearest takes is measured by `tests/bench/bench_templates.py`: 200 ms are promised."""
    with pytest.raises(CannotRender):
        run(source)


def test_a_failure_that_nobody_thought_of_is_the_templates_and_tells_no_values(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise NameError(BIG)

    monkeypatch.setattr(Meter, "spend", fail)
    with pytest.raises(CannotRender, match=r"^cannot be rendered with these values$") as end:
        run("{{ a }}")
    assert end.value.reason == TEMPLATE_ERROR


def test_what_is_as_large_as_may_be_passes() -> None:
    assert len(run("{{ big }}" + "é" * ((MAX_TEXT - len(BIG)) // 2)).text.encode()) == MAX_TEXT


def test_one_byte_more_does_not() -> None:
    with pytest.raises(CannotRender):
        run("{{ big }}a" + "é" * ((MAX_TEXT - len(BIG)) // 2))


def test_subject_text_and_html_of_a_message_share_what_it_may_cost() -> None:
    most = "{% for x in range(1000) %}" + "{% set q = 1 %}" * 40 + "{% endfor %}"
    for words in (Variant(channel=Channel.EMAIL, subject=most, text="a"), Variant(channel=Channel.EMAIL, text=most)):
        render(words, Channel.EMAIL, VALUES)
    for words in (
        Variant(channel=Channel.EMAIL, subject=most, text=most),
        Variant(channel=Channel.EMAIL, text=most, html=most),
    ):
        with pytest.raises(CannotRender, match="takes too many steps"):
            render(words, Channel.EMAIL, VALUES)


@pytest.mark.parametrize("name", ["upper", "format", "keys", "copy", "__class__", "_private", "denominator"])
def test_values_have_no_python_attributes(name: str) -> None:
    for value in ("a", "order", "lots", "big"):
        with pytest.raises(CannotRender) as end:
            run("{{ " + value + "['" + name + "'] is defined and " + value + "['" + name + "']['x'] }}{{ nothing }}")
        assert end.value.reason == "missing_variable" or value == "order"


def test_a_field_is_a_field_though_python_has_a_method_of_that_name() -> None:
    assert run("{% for each in order.items %}{{ each }};{% endfor %}").text == "1;2;"


def test_the_same_template_ends_at_the_same_step_each_time() -> None:
    """It counts steps and not time: what fails on a busy machine fails on an idle one."""
    ends = set()
    for _ in range(3):
        with pytest.raises(CannotRender) as end:
            run("{% for x in range(1000) %}{% for y in range(1000) %}x{% endfor %}{% endfor %}")
        ends.add(str(end.value))
    assert ends == {"takes too many steps: fewer or smaller loops, please"}
