"""Renders a variant for one recipient: the same template with the same values gives the same message, or fails for the
same reason, whenever it is tried. Takes well under 200 ms however hostile a template is, but works: call it from a
thread (`asyncio.to_thread`), not on the event loop."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from jinja2 import Template as Compiled
from jinja2 import TemplateSyntaxError, UndefinedError, nodes

from libs.common.domain.channels import Channel
from libs.common.domain.templates import Template, Variant, choose_variant
from libs.common.templates.language import NotAllowed, bound, parse, weight
from libs.common.templates.markup import find_misuse, neutralise
from libs.common.templates.meter import MAX_TEXT, METER, Meter, TooMuch
from libs.common.templates.sandbox import Sandbox

BUILT_IN: dict[str, str] = {"name": "", "subscriber_id": "", "unsubscribe_url": ""}
"""What every template may use without being given it, and what it is when nothing is known."""

MISSING_VARIABLE = "missing_variable"
TEMPLATE_ERROR = "template_error"
NO_VARIANT = "no_variant"

_TEXT = Sandbox(html=False)
_HTML = Sandbox(html=True)
_BREAKS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
LONGEST_SUBJECT = 500
"""Characters. RFC 5322 sets no limit to a folded subject; providers do, none under this."""


@dataclass(frozen=True, slots=True)
class Rendered:
    """A message's words."""

    subject: str = field(repr=False)
    text: str = field(repr=False)
    html: str = field(default="", repr=False)


class CannotRender(Exception):
    """No message comes of this template with these values, now or ever. `reason` is a reason code; the text names
    variables and never their values."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


def preview(template: Template, channel: Channel, locale: str, variables: Mapping[str, Any]) -> Rendered:
    """What a recipient on this channel with this locale would get. Raises `CannotRender`."""
    variant = choose_variant(template.variants, channel, locale)
    if variant is None:
        raise CannotRender(NO_VARIANT, f"there are no words for {channel}")
    return render(variant, channel, {**BUILT_IN, **variables})


def render(variant: Variant, channel: Channel, variables: Mapping[str, Any]) -> Rendered:
    """The message; HTML for e-mail alone. Raises `CannotRender`."""
    wants_html = bool(variant.html) and channel is Channel.EMAIL
    meter = Meter()  # one for all three: it is the message that must not take too long
    return Rendered(
        subject=one_line(_run(variant.subject, False, variables, meter)),
        text=_run(variant.text, False, variables, meter),
        html=neutralise(_run(variant.html, True, variables, meter)) if wants_html else "",
    )


def one_line(text: str) -> str:
    """`text` on one line: every run of control characters and line separators becomes one space."""
    return _BREAKS.sub(" ", text).strip()[:LONGEST_SUBJECT]


@lru_cache(maxsize=256)
def compile_source(source: str, html: bool) -> tuple[Compiled, int]:
    """A source ready to run, and the steps that it takes without its loops. Kept by its text: whoever has the same text
    has the same program. Raises `NotAllowed`."""
    sandbox = _HTML if html else _TEXT
    tree = read(source, html)
    try:
        compiled = Compiled.from_code(sandbox, sandbox.compile(bound(tree)), {})
    except TemplateSyntaxError as error:  # what only Jinja's compiler minds: something set to `loop`
        raise NotAllowed(error.message or "is not a template", error.lineno) from None
    except (SyntaxError, RecursionError, ValueError):  # what Python's own compiler does not take: 20 nested loops
        raise NotAllowed("is nested too deeply") from None
    return compiled, weight(tree)


def read(source: str, html: bool) -> nodes.Template:
    """The syntax tree of a source. Raises `NotAllowed`."""
    tree = parse(_HTML if html else _TEXT, source)
    if html and (wrong := find_misuse(tree)):
        raise NotAllowed(wrong)
    return tree


def _run(source: str, html: bool, variables: Mapping[str, Any], meter: Meter) -> str:
    try:
        compiled, steps = compile_source(source, html)
        meter.spend(steps)
        pieces: list[str] = []
        size = 0
        for piece in compiled.generate({**variables, METER: meter}):
            size += len(piece.encode())
            if size > MAX_TEXT:
                raise TooMuch(f"makes more than {MAX_TEXT // 1024} KB")
            pieces.append(piece)
    except UndefinedError as error:
        raise CannotRender(MISSING_VARIABLE, error.message or "a variable is missing") from None
    except NotAllowed as error:
        raise CannotRender(TEMPLATE_ERROR, str(error)) from None
    except TooMuch as error:
        raise CannotRender(TEMPLATE_ERROR, str(error)) from None
    except (TypeError, ArithmeticError) as error:
        raise CannotRender(TEMPLATE_ERROR, str(error)) from None
    except Exception:  # whatever it is, it is the same at every attempt; its text may hold values
        raise CannotRender(TEMPLATE_ERROR, "cannot be rendered with these values") from None
    return "".join(pieces)
