"""What comes out of a template."""

from datetime import UTC, datetime

import pytest
from markupsafe import escape

from libs.common.domain.channels import Channel
from libs.common.domain.templates import Template, Variant
from libs.common.templates.language import NotAllowed
from libs.common.templates.markup import neutralise
from libs.common.templates.rendering import CannotRender, compile_source, preview, render

VALUES = {
    "person": "Ann <b>",
    "order": {"id": 7, "lines": [{"name": "Tea", "price": 2.5}, {"name": "Milk", "price": 1}], "note": None},
    "tags": ["a", "b"],
    "price": 1234.5,
    "vip": True,
}


def text(source: str) -> str:
    return render(Variant(channel=Channel.SMS, text=source), Channel.SMS, VALUES).text


def html(source: str, **values: object) -> str:
    variant = Variant(channel=Channel.EMAIL, subject="s", text="t", html=source)
    return render(variant, Channel.EMAIL, VALUES | values).html


@pytest.mark.parametrize(
    ("source", "result"),
    [
        ("plain", "plain"),
        ("", ""),
        ("{{ person }}", "Ann <b>"),
        ("{{ order.id }} {{ order['id'] }} {{ tags[0] }} {{ tags[-1] }}", "7 7 a b"),
        ("{{ order.note }}|{{ none }}|", "||"),
        ("{{ vip }} {{ 1.5 }} {{ -3 }}", "True 1.5 -3"),
        ("{{ 2 * 3 + 1 - 4 / 2 }} {{ 7 // 2 }} {{ 7 % 4 }}", "5.0 3 3"),
        ("{{ 'a' + 'b' ~ 1 ~ 2 }}", "ab12"),
        ("{% for line in order.lines %}{{ loop.index }}. {{ line.name }}{{ ', ' if not loop.last }}{% endfor %}", None),
        ("{% for x in [] %}x{% else %}none{% endfor %}", "none"),
        ("{% for x in range(3) if x != 1 %}{{ x }}{% endfor %}", "02"),
        ("{% for key, value in order|items %}{{ key }} {% endfor %}", "id lines note "),
        ("{% for key in order %}{{ key }} {% endfor %}", "id lines note "),
        ("{% if price > 1000 and vip %}big{% elif vip %}small{% else %}none{% endif %}", "big"),
        ("{{ 4 is even }} {{ 3 is even }} {{ 3 is odd }} {{ 2.5 is odd }}", "True False True False"),
        ("{{ 9 is divisibleby(3) }} {{ 9 is divisibleby 2 }}", "True False"),
        ("{% set total = price * 2 %}{{ total|fixed }}", "2469.00"),
        ("{{ price|round(0)|int }} {{ '3'|int + 1 }} {{ (-2)|abs }}", "1234 4 2"),
        ("{{ person|upper }} {{ 'ada l'|title }} {{ ' x '|trim }}|", "ANN <B> Ada L x|"),
        ("{{ person|truncate(3) }} {{ person|replace('Ann', 'Eve') }}", "Ann… Eve <b>"),
        ("{{ tags|join(', ') }} {{ tags|length }} {{ tags|first }} {{ tags|last }}", "a, b 2 a b"),
        ("{{ absent|default('?') }} {{ absent|d }} {{ ''|default('empty', true) }}", "?  empty"),
        ("{% if absent is defined %}x{% endif %}{{ 'b' in tags }} {{ 'c' not in tags }}", "True True"),
        ("{{ 'a b/c'|urlencode }}", "a%20b%2Fc"),
        ("{% raw %}{{ person }}{% endraw %}{# a comment #}", "{{ person }}"),
        ("line\n{{ tags[0] }}\n", "line\na"),
    ],
)
def test_the_language(source: str, result: str | None) -> None:
    assert text(source) == (result if result is not None else "1. Tea, 2. Milk")


@pytest.mark.parametrize(
    ("source", "named"),
    [
        ("{{ absent }}", "absent"),
        ("{{ order.absent }}", "absent"),
        ("{{ tags[5] }}", "5"),
        *(
            (source, "absent")
            for source in (
                "{{ absent.x }}",
                "{{ absent|upper }}",
                "{{ absent + 1 }}",
                "{% for x in absent %}{% endfor %}",
                "{% if absent %}{% endif %}",
                "{{ absent == 1 }}",
                "{{ absent is even }}",
                "{{ 1 is divisibleby(absent) }}",
                "{{ [absent]|join }}",
            )
        ),
    ],
)
def test_what_is_missing_is_named(source: str, named: str) -> None:
    with pytest.raises(CannotRender) as end:
        text(source)
    assert end.value.reason == "missing_variable"
    assert f"'{named}'" in str(end.value)


def test_html_is_escaped_and_text_is_not() -> None:
    variant = Variant(channel=Channel.EMAIL, subject="{{ person }}", text="{{ person }}", html="<i>{{ person }}</i>")
    message = render(variant, Channel.EMAIL, VALUES)
    assert (message.subject, message.text) == ("Ann <b>", "Ann <b>")
    assert message.html == "<i>Ann &lt;b&gt;</i>"


@pytest.mark.parametrize(
    "way", ["{{ x|upper }}", "{{ x ~ '' }}", "{{ [x]|join('<hr>') }}", "{{ '<script>' }}", "{{ x + '' }}"]
)
def test_nothing_gets_around_the_escaping(way: str) -> None:
    assert "<" not in html(way, x="<script>alert(1)</script>")


def test_a_subject_is_one_line_whatever_the_values() -> None:
    variant = Variant(channel=Channel.EMAIL, subject="To {{ who }}", text="t")
    assert render(variant, Channel.EMAIL, {"who": "a\r\nBcc: x@example.org"}).subject == "To a Bcc: x@example.org"


@pytest.mark.parametrize(
    "url",
    [
        "javascript:alert(1)",
        "JaVaScRiPt:alert(1)",
        " javascript:alert(1)",
        "java\tscript:alert(1)",
        "java\nscript:alert(1)",
        "\x01javascript:alert(1)",
        "\u200bjavascript:alert(1)",
        "vbscript:x",
        "data:text/html,<script>",
        "file:///etc/passwd",
    ],
)
@pytest.mark.parametrize("source", ['<a href="{{ u }}">x</a>', "<img src='{{ u }}'>", '<a HREF = "{{ u }}">x</a>'])
def test_a_link_to_anything_but_a_page_leads_nowhere(source: str, url: str) -> None:
    rendered = html(source, u=url)
    assert '="#"' in rendered
    assert "script:" not in rendered
    assert "data:" not in rendered


def test_a_scheme_put_together_from_two_values_leads_nowhere_either() -> None:
    assert html('<a href="{{ a }}{{ b }}">x</a>', a="java", b="script:alert(1)") == '<a href="#">x</a>'


@pytest.mark.parametrize(
    ("source", "result"),
    [
        ('<a title="{{ a }}" href="{{ u }}">x</a>', '<a title="href=" href="#">x</a>'),
        ("<a title='{{ a }}' href='{{ u }}'>x</a>", "<a title='href=' href=\"#\">x</a>"),
        ('<a title="{{ a }}" href={% if u %}"{{ u }}"{% endif %}>x</a>', '<a title="href=" href="#">x</a>'),
        ('<a title=">" href="{{ u }}">x</a>', '<a title=">" href="#">x</a>'),
        ('<a/href="{{ u }}"/id="i">x</a>', '<a/href="#"/id="i">x</a>'),
        ('<a title=""href="{{ u }}">x</a>', '<a title=""href="#">x</a>'),
        ('<a href\n=\n"{{ u }}">x</a>', '<a href="#">x</a>'),
        ("<a href=javascript:alert(1)>x</a>", '<a href="#">x</a>'),
        ('<a href="java&#115;cript&colon;alert(1)">x</a>', '<a href="#">x</a>'),
        ('<p>1 <2 "</p><a href="{{ u }}">x</a>', '<p>1 <2 "</p><a href="#">x</a>'),
        ('<!-- don\'t --><a href="{{ u }}">x</a>', '<!-- don\'t --><a href="#">x</a>'),
        ('<!--[if mso]><a href="{{ u }}">x</a><![endif]-->', '<!--[if mso]><a href="#">x</a><![endif]-->'),
        ('<a href="{{ u }}', '<a href="#"'),
    ],
)
def test_no_value_and_no_way_of_writing_hides_an_address(source: str, result: str) -> None:
    assert html(source, a="href=", u="javascript:alert(1)") == result


@pytest.mark.parametrize("note", ["see data=foo:bar", "Host src=db:5432", "href='x:y'", "cite = a:b", "<a href=x:y>"])
def test_a_text_that_only_looks_like_an_address_stays(note: str) -> None:
    escaped = escape(note)
    assert html('<p title="{{ note }}">{{ note }}</p>', note=note) == f'<p title="{escaped}">{escaped}</p>'
    assert html('<p data-href="{{ note }}">x</p>', note=note) == f'<p data-href="{escaped}">x</p>'


@pytest.mark.parametrize(
    "piece",
    [
        "<a ",
        "<",
        "<!--",
        "<a x='",
        '<a x="',
        "\"'",
        "<a x=",
        "<a" + " " * 99,
        "<a href=a:b ",
        "<a href='a:b' ",
        "/=",
        "=&",
    ],
)
@pytest.mark.parametrize("opening", ["", "<a ", "<!--<a ", "<a href=", "<a href='"])
def test_a_hostile_text_is_read_once(opening: str, piece: str) -> None:
    """It would not end within the patience of anybody, if each of its tags were looked for up to its end."""
    assert neutralise(opening + piece * (64 * 1024 // len(piece)) + ":").startswith((opening + piece)[:6])


@pytest.mark.parametrize(
    "url",
    ["https://example.com/?a=1&b=2", "http://example.com", "mailto:a@example.com", "tel:+1", "/path", "#here", ""],
)
def test_a_link_to_a_page_stays(url: str) -> None:
    escaped = url.replace("&", "&amp;")
    assert html('<a href="{{ u }}">x</a>', u=url) == f'<a href="{escaped}">x</a>'


@pytest.mark.parametrize(
    "source",
    [
        "<a href={{ u }}>x</a>",
        "<!-- don't --><a href={{ u }}>x</a>",
        "<a title=it's href={{ u }}>x</a>",
        '<a title="a>b" href={{ u }}>x</a>',
        '<a title=x/href="{{ u }}">x</a>',
        "<!DOCTYPE {{ u }}>",
        "<a{{ u }}>",
        "<p {{ u }}>x</p>",
        "<{{ u }}>",
        "</{{ u }}>",
        "<p class='a' id={% if u %}{{ u }}{% endif %}>",
        "<script>x</script>",
        "<SCRIPT src='x'></SCRIPT>",
        "<iframe src='x'></iframe>",
        "<p onclick='x'>",
        "<img src='x'\nonerror='{{ u }}'>",
    ],
)
def test_markup_in_which_a_value_could_become_structure_is_refused(source: str) -> None:
    with pytest.raises(NotAllowed):
        compile_source(source, True)


@pytest.mark.parametrize(
    "source",
    [
        "<p class=\"{{ u }}\" id='{{ u }}'>{{ u }} = {{ u }}</p>",
        '<p {% if u %}class="a"{% else %}class="b"{% endif %}>{{ u }}</p>',
        "1 < 2 and {{ u }} > 3",
        '<a title="a > b" href="{{ u }}">x</a>',
        "<!-- note -->{{ u }}",
        "<p>on Monday = today</p>",
    ],
)
def test_markup_in_which_values_stay_values_is_taken(source: str) -> None:
    compile_source(source, True)


def test_a_preview_is_what_a_recipient_gets() -> None:
    now = datetime(2030, 1, 1, tzinfo=UTC)
    template = Template(
        tenant="acme",
        template_id="t",
        created_at=now,
        updated_at=now,
        variants=(
            Variant(channel=Channel.EMAIL, subject="Hi", text="Hello {{ name }}", html="<b>{{ name }}</b>"),
            Variant(channel=Channel.EMAIL, locale="de", subject="Hallo", text="Hallo {{ name }}"),
        ),
    )
    assert preview(template, Channel.EMAIL, "en", {"name": "Ann"}).html == "<b>Ann</b>"
    assert preview(template, Channel.EMAIL, "de-AT", {"name": "Ann"}).text == "Hallo Ann"
    assert preview(template, Channel.INAPP, "", {}).text == "Hello "
    assert preview(template, Channel.INAPP, "", {}).html == ""
    with pytest.raises(CannotRender) as end:
        preview(template, Channel.SMS, "", {})
    assert end.value.reason == "no_variant"
