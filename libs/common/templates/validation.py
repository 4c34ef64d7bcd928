"""Says what is wrong with a template before it is stored, and what it needs to be given before it is used. Works for up
to some 100 ms a variant: call it from a thread (`asyncio.to_thread`), not on the event loop."""

from collections.abc import Collection, Iterable, Iterator
from functools import lru_cache

from jinja2 import meta, nodes

from libs.common.domain.channels import Channel
from libs.common.domain.errors import Flaw
from libs.common.domain.json_values import MAX_FLAWS
from libs.common.domain.people import parse_locale
from libs.common.domain.templates import DEFAULT_LOCALE, Variant
from libs.common.templates.language import NotAllowed
from libs.common.templates.rendering import BUILT_IN, compile_source, read

MAX_VARIANTS = 60
"""With 64 KB for each of three sources a version stays under the 16 MB of a document."""

_HAVE_SUBJECT = frozenset({Channel.EMAIL, Channel.PUSH, Channel.INAPP, Channel.WEBHOOK})
_NEED_SUBJECT = frozenset({Channel.EMAIL, Channel.PUSH})


def validate(variants: Collection[Variant]) -> list[Flaw]:
    """What is wrong with these variants, each flaw with its place; nothing, for a template that can be stored."""
    if not 1 <= len(variants) <= MAX_VARIANTS:
        return [Flaw("variants", f"must be 1 to {MAX_VARIANTS}")]
    flaws: list[Flaw] = []
    seen: set[tuple[Channel, str]] = set()
    for index, variant in enumerate(variants):
        place = f"variants[{index}]"
        if (variant.channel, key := _locale_key(variant.locale)) in seen:
            flaws.append(Flaw(place, "is a second one for this channel and locale"))
        seen.add((variant.channel, key))
        flaws += _flaws(variant, place)
        if len(flaws) >= MAX_FLAWS:
            break
    return flaws[:MAX_FLAWS]


def required_variables(words: Iterable[tuple[Channel, Variant]]) -> set[str]:
    """The variables without which a message of one of these words, each on its channel, fails for sure. Not among them:
    those that are built in, have a `default`, are asked for with `is defined`, or stand in a branch or loop."""
    needed: set[str] = set()
    for channel, variant in words:
        html = variant.html if channel is Channel.EMAIL else ""
        for source, is_html in ((variant.subject, False), (variant.text, False), (html, True)):
            needed |= _needed(source, is_html)
    return needed - BUILT_IN.keys()


def _flaws(variant: Variant, place: str) -> Iterator[Flaw]:
    if variant.locale != DEFAULT_LOCALE:
        try:
            parse_locale(variant.locale)
        except ValueError as error:
            yield Flaw(f"{place}.locale", f"{error}, or {DEFAULT_LOCALE}")
    if not variant.text.strip():
        yield Flaw(f"{place}.text", "is required")
    if variant.channel in _NEED_SUBJECT and not variant.subject.strip():
        yield Flaw(f"{place}.subject", "is required")
    if variant.channel not in _HAVE_SUBJECT and variant.subject:
        yield Flaw(f"{place}.subject", f"{variant.channel} has none")
    if variant.channel is not Channel.EMAIL and variant.html:
        yield Flaw(f"{place}.html", f"{variant.channel} has none")
    for name, source in (("subject", variant.subject), ("text", variant.text), ("html", variant.html)):
        try:
            compile_source(source, name == "html")
        except NotAllowed as error:
            yield Flaw(f"{place}.{name}", str(error))


def _locale_key(locale: str) -> str:
    return locale.replace("_", "-").lower()


@lru_cache(maxsize=256)
def _needed(source: str, is_html: bool) -> frozenset[str]:
    tree = read(source, is_html)
    set_here = {node.name for node in tree.find_all(nodes.Name) if node.ctx == "store"}
    return frozenset(_always_read(tree) & meta.find_undeclared_variables(tree)) - set_here - set(_optional(tree))


def _always_read(node: nodes.Node) -> set[str]:
    """The names that are looked at whatever branch is taken."""
    if isinstance(node, nodes.Name):
        return {node.name}
    always: Iterable[nodes.Node] = node.iter_child_nodes()
    if isinstance(node, nodes.If | nodes.CondExpr):
        always = [node.test]
    elif isinstance(node, nodes.For):
        always = [node.iter]
    elif isinstance(node, nodes.And | nodes.Or):
        always = [node.left]
    elif isinstance(node, nodes.Compare):
        always = [node.expr, node.ops[0].expr]  # of `a < b < c`, the last only if the first holds
    return set().union(*(_always_read(child) for child in always))


def _optional(tree: nodes.Template) -> Iterator[str]:
    """The names that the template asks for with a way out."""
    for way_out in tree.find_all((nodes.Filter, nodes.Test)):
        if way_out.name in ("default", "d", "defined", "undefined"):
            yield from (name.name for name in way_out.find_all(nodes.Name))
