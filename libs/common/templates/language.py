"""Decides what a template may say: a part of Jinja's language, allow-listed node by node, in which every step has a
bounded cost. A thread cannot be stopped, so work is bounded before it is done: this module writes into the template
where the meter (`meter.py`) has to be asked. Renders nothing.

Left out, since their cost has no bound or they can reach Python: calls (but `range`), macros, includes, imports,
inheritance, recursive loops, `**`, slices, block assignments, and `safe` (what an event brings is always escaped).
"""

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from jinja2 import Environment, TemplateSyntaxError, nodes

from libs.common.templates.filters import FILTERS, LOOP, RANGE, TESTS, TOGETHER, WEIGHED, takes

MAX_SOURCE = 64 * 1024
"""Bytes of UTF-8."""
MAX_NODES = 3_000
"""Of one source: compiling it takes under 100 ms."""
MAX_DEPTH = 40
"""Levels of the syntax tree; Python's compiler recurses on them."""

_ALLOWED: tuple[type[nodes.Node], ...] = (
    nodes.Template,
    nodes.Output,
    nodes.TemplateData,
    nodes.Const,
    nodes.Name,
    nodes.Getattr,
    nodes.Getitem,
    nodes.List,
    nodes.Tuple,
    nodes.For,
    nodes.If,
    nodes.CondExpr,
    nodes.Assign,
    nodes.Filter,
    nodes.Test,
    nodes.Keyword,
    nodes.Compare,
    nodes.Operand,
    nodes.And,
    nodes.Or,
    nodes.Not,
    nodes.Neg,
    nodes.Pos,
    nodes.Add,
    nodes.Sub,
    nodes.Mul,
    nodes.Div,
    nodes.FloorDiv,
    nodes.Mod,
    nodes.Concat,
)

_NAMED = {
    nodes.Macro: "macros are not allowed",
    nodes.CallBlock: "calls are not allowed",
    nodes.Include: "includes are not allowed",
    nodes.Import: "imports are not allowed",
    nodes.FromImport: "imports are not allowed",
    nodes.Extends: "inheritance is not allowed",
    nodes.Block: "blocks are not allowed",
    nodes.AssignBlock: "only single values can be set",
    nodes.FilterBlock: "filters apply to single values only",
    nodes.Pow: "** is not allowed",
    nodes.Slice: "slices are not allowed; use truncate",
    nodes.Dict: "objects cannot be written in a template",
}


class NotAllowed(Exception):
    """A source is no template; `line` counts from 1, 0 stands for the whole."""

    def __init__(self, message: str, line: int = 0) -> None:
        super().__init__(f"line {line}: {message}" if line else message)


def parse(environment: Environment, source: str) -> nodes.Template:
    """The syntax tree of a template that keeps to the language. Raises `NotAllowed`."""
    if "\x00" in source:
        raise NotAllowed("must not hold NUL characters")
    try:
        size = len(source.encode())
    except UnicodeEncodeError:
        raise NotAllowed("must not hold lone surrogates") from None
    if size > MAX_SOURCE:
        raise NotAllowed(f"must not be larger than {MAX_SOURCE // 1024} KB")
    try:
        tree = environment.parse(source)
    except TemplateSyntaxError as error:
        raise NotAllowed(error.message or "is not a template", error.lineno) from None
    except (RecursionError, ValueError):  # a ValueError: a number of more digits than Python reads
        raise NotAllowed("is nested too deeply, or holds a number that is too long") from None
    _check(tree)
    return tree


def bound(tree: nodes.Template) -> nodes.Template:
    """The same template, with the meter asked before each loop, comparison and joining of texts. Changes `tree`."""
    for parent in reversed(list(_walk(tree))):  # what is inside first: it is moved into what asks
        _replace_children(parent)
    return tree


def weight(*trees: nodes.Node) -> int:
    """How many steps it takes to run these once: a step is a node."""
    return sum(1 for tree in trees for _ in _walk(tree))


def _walk(tree: nodes.Node) -> Iterator[nodes.Node]:
    # A stack and not recursion: the depth of the tree is the author's choice.
    stack = [tree]
    while stack:
        node = stack.pop()
        yield node
        stack.extend(reversed(list(node.iter_child_nodes())))


def _check(tree: nodes.Template) -> None:
    count = 0
    stack: list[tuple[nodes.Node, int]] = [(tree, 1)]
    while stack:
        node, depth = stack.pop()
        count += 1
        if count > MAX_NODES or depth > MAX_DEPTH:
            raise NotAllowed("is too large: simplify it", node.lineno)
        if _is_range(node):
            assert isinstance(node, nodes.Call)  # noqa: S101 - tells the type checker what _is_range found
            stack.extend((argument, depth + 1) for argument in node.args)
            continue
        _check_node(node)
        stack.extend((child, depth + 1) for child in node.iter_child_nodes())


def _check_node(node: nodes.Node) -> None:
    wrong = _NAMED.get(type(node))
    if wrong is None and type(node) not in _ALLOWED:
        wrong = "calls are not allowed, but range(n)" if isinstance(node, nodes.Call) else "is not allowed here"
    elif isinstance(node, nodes.Filter) and not _fits(node, FILTERS):
        wrong = f"there is no filter {node.name[:50]!r} with such arguments"
    elif isinstance(node, nodes.Test) and not _fits(node, TESTS):
        wrong = f"there is no test {node.name[:50]!r} with such arguments"
    elif isinstance(node, nodes.For) and node.recursive:
        wrong = "recursion is not allowed"
    elif isinstance(node, nodes.Getattr) and node.attr.startswith("_"):
        wrong = "names do not begin with an underscore"
    elif isinstance(node, nodes.Assign) and not isinstance(node.target, nodes.Name):
        wrong = "only single values can be set"
    elif isinstance(node, nodes.Const) and isinstance(node.value, float) and not math.isfinite(node.value):
        wrong = "a number is too large"  # Jinja would write it as `inf`, a name that nobody gave
    if wrong:
        raise NotAllowed(wrong, node.lineno)


def _fits(node: nodes.Filter | nodes.Test, known: Mapping[str, Callable[..., Any]]) -> bool:
    if node.name not in known or node.node is None or node.dyn_args or node.dyn_kwargs:
        return False
    named = [str(keyword.key) for keyword in node.kwargs]
    return takes(known[node.name], len(node.args), named)


def _is_range(node: nodes.Node) -> bool:
    return (
        isinstance(node, nodes.Call)
        and isinstance(node.node, nodes.Name)
        and node.node.name == "range"
        and 1 <= len(node.args) <= 3
        and not (node.kwargs or node.dyn_args or node.dyn_kwargs)
    )


def _replace_children(parent: nodes.Node) -> None:
    for field, value in parent.iter_fields():
        if isinstance(value, nodes.Node):
            setattr(parent, field, _metered(value))
        elif isinstance(value, list):
            setattr(parent, field, [_metered(each) if isinstance(each, nodes.Node) else each for each in value])
    if isinstance(parent, nodes.For):
        steps = weight(*parent.body, *([parent.test] if parent.test else []))
        parent.iter = _ask(LOOP, parent.iter, nodes.Const(steps))
    elif isinstance(parent, nodes.Compare):
        parent.expr = _ask(WEIGHED, parent.expr)
        for operand in parent.ops:
            operand.expr = _ask(WEIGHED, operand.expr)


def _metered(node: nodes.Node) -> nodes.Node:
    if _is_range(node):
        assert isinstance(node, nodes.Call)  # noqa: S101 - tells the type checker what _is_range found
        return _ask(RANGE, *node.args)
    if isinstance(node, nodes.Concat):
        return _ask(TOGETHER, *node.nodes)
    return node


def _ask(name: str, *values: nodes.Node) -> nodes.Filter:
    return nodes.Filter(values[0], name, list(values[1:]), [], None, None, lineno=values[0].lineno)
