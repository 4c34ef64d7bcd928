"""Keeps what an event brings from becoming part of an HTML message's structure. Escaping does most of it; what it
cannot see is where a value stands: outside of quotes in a tag, or as the address of a link."""

import html
import re
from collections.abc import Iterator

from jinja2 import nodes

_VALUE = "\x00"
"""Stands for a value where a template's HTML is looked at; sources hold none."""

_ACTIVE = re.compile(r"<\s*(script|iframe|object|embed|base|meta)\b|\son[a-z]+\s*=", re.IGNORECASE)
_OPENING = re.compile(r"<(?:!--|/?[a-z][^\t\n\f\r />]*+)", re.IGNORECASE)
_NAME = re.compile(rf"<!(?!--)[^>{_VALUE}]*+{_VALUE}?|</?[^<\t\n\f\r />{_VALUE}]*+{_VALUE}?")
"""A tag's name, or a declaration, as far as the first value in it. What was read is not read again: 64 KB of `<` kept a
process for 16 s by a pattern that went back."""
_COMMENT_END = re.compile(r"--!?>")
_ATTRIBUTE = re.compile(
    r"""[\t\n\f\r\x20/]*+(?P<name>=[^\t\n\f\r\x20/>=]*+|[^\t\n\f\r\x20/>=]++)
        (?:[\t\n\f\r\x20]*+=[\t\n\f\r\x20]*+
        (?P<value>"[^"]*+(?:"|\Z)|'[^']*+(?:'|\Z)|[^\t\n\f\r\x20>"'][^\t\n\f\r\x20>]*+))?""",
    re.VERBOSE,
)
"""As browsers read it. It never goes back over what it has read: a hostile text takes no longer than another."""
_ADDRESSES = frozenset(
    {"href", "src", "action", "formaction", "background", "poster", "cite", "longdesc", "data", "srcset", "xlink:href"}
)
_SCHEME = re.compile(r"([a-z][a-z0-9+.-]*):", re.IGNORECASE)
_IGNORED = re.compile(r"[\x00-\x20\x7f-\xa0\u200b-\u200f\u2028\u2029\ufeff]")
"""What browsers skip in front of, and some of it inside of, a scheme."""
_SCHEMES = frozenset({"https", "http", "mailto", "tel", "sms", "cid"})


def find_misuse(tree: nodes.Template) -> str:
    """What is wrong with a template's HTML; empty, when nothing is. Text in front of values is looked at in the order
    of the source, whichever branch it stands in."""
    written = "".join(_pieces(tree))
    if found := _ACTIVE.search(written):
        return f"{found.group().strip()[:20]!r} has no place in a message"
    if _outside_quotes(written):
        return 'a value inside a tag must stand in quotes, as in href="{{ url }}"'
    return ""


def neutralise(rendered: str) -> str:
    """The same HTML, with `#` in place of every address whose scheme is not one of a link in a message (`javascript:`,
    `data:`, `vbscript:` …)."""
    if ":" not in rendered and "&" not in rendered:
        return rendered
    pieces: list[str] = []
    done = 0
    for found in _attributes(rendered, 0, len(rendered)):
        if found["name"].lower() in _ADDRESSES and not _leads_to_a_page(found["value"] or ""):
            pieces += (rendered[done : found.start("name")], f'{found["name"]}="#"')
            done = found.end()
    return "".join((*pieces, rendered[done:]))


def _pieces(tree: nodes.Node) -> Iterator[str]:
    for node in tree.iter_child_nodes():
        if isinstance(node, nodes.TemplateData):
            yield node.data
        elif isinstance(node, nodes.Expr):
            if isinstance(tree, nodes.Output):
                yield _VALUE
        else:
            yield from _pieces(node)


def _outside_quotes(written: str) -> bool:
    """Whether a value is, or may become, a tag's name, an attribute's name, or a value without quotes."""
    return any(name.group().endswith(_VALUE) for name in _NAME.finditer(written)) or any(
        _VALUE in found["name"] or (_VALUE in (found["value"] or "") and found["value"][0] not in "\"'")
        for found in _attributes(written, 0, len(written))
    )


def _attributes(written: str, position: int, end: int, commented: bool = False) -> Iterator[re.Match[str]]:
    """The attributes of every tag, also of those in comments: some mail programs read what stands there."""
    while opening := _OPENING.search(written, position, end):
        position = opening.end()
        if opening.group() != "<!--":
            while attribute := _ATTRIBUTE.match(written, position, end):
                yield attribute
                position = attribute.end()
        elif not commented:
            closing = _COMMENT_END.search(written, position - 2, end)  # `<!-->` is a whole comment
            closes = closing.end() if closing else end
            yield from _attributes(written, position, closes, commented=True)
            position = closes


def _leads_to_a_page(value: str) -> bool:
    address = html.unescape(value.strip("\"'"))
    scheme = _SCHEME.match(_IGNORED.sub("", address))
    return scheme is None or scheme[1].lower() in _SCHEMES
