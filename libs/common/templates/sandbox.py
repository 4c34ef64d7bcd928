"""The environments in which templates run: one for texts, one for HTML, where every value is escaped. Nothing in them
reaches a Python attribute, a file or another template, and every step is metered."""

from collections.abc import Callable, Mapping
from typing import Any

from jinja2 import StrictUndefined, Undefined, pass_context
from jinja2.runtime import Context, LoopContext
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import missing

from libs.common.templates.filters import FILTERS, INTERNAL, TESTS
from libs.common.templates.meter import bounded, check_number, meter_of, short, text

_LOOP_WORDS = frozenset({"index", "index0", "revindex", "revindex0", "first", "last", "length"})


class Sandbox(ImmutableSandboxedEnvironment):
    """Jinja's sandbox, narrowed: names lead to values and to nothing else."""

    intercepted_binops = frozenset({"+", "-", "*", "/", "//", "%", "**"})
    intercepted_unops = frozenset({"+", "-"})

    def __init__(self, *, html: bool) -> None:
        super().__init__(
            autoescape=html,
            undefined=StrictUndefined,
            finalize=_printed,
            optimized=False,  # nothing is worked out before there is a meter
            keep_trailing_newline=False,
            cache_size=0,
        )
        self.globals.clear()
        self.filters.clear()
        self.tests.clear()
        self.filters.update({**FILTERS, **INTERNAL})
        self.tests.update(TESTS)

    def getattr(self, obj: Any, attribute: str) -> Any:
        """A field of an object; `{{ order.items }}` is the field and never a method of Python's."""
        if isinstance(obj, LoopContext) and attribute in _LOOP_WORDS:
            return getattr(obj, attribute)
        return self._field(obj, attribute)

    def getitem(self, obj: Any, argument: Any) -> Any:
        """A field of an object, or an item of a list."""
        if isinstance(obj, list | tuple) and type(argument) is int and -len(obj) <= argument < len(obj):
            return obj[argument]
        return self._field(obj, argument)

    def _field(self, obj: Any, name: Any) -> Any:
        if isinstance(obj, Undefined):
            str(obj)  # raises: it names what is missing
        if isinstance(obj, Mapping) and isinstance(name, str) and name in obj:
            return obj[name]
        return self.undefined(obj=obj if isinstance(obj, Mapping) else missing, name=str(name)[:100])

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """Numbers with numbers, within limits; `+` also joins two texts."""
        if operator == "+" and isinstance(left, str) and isinstance(right, str):
            meter_of(context).spend(1 + (len(left) + len(right)) // 64)
            return short(left + right)
        for operand in (left, right):
            check_number(operand)
        calculate = _CALCULATE.get(operator)
        if calculate is None:
            raise TypeError(f"{operator} is not allowed")
        return bounded(calculate(left, right))

    def call_unop(self, context: Context, operator: str, arg: Any) -> Any:
        """A number's sign."""
        check_number(arg)
        return -arg if operator == "-" else arg


_CALCULATE: dict[str, Callable[[Any, Any], Any]] = {
    "+": lambda left, right: left + right,
    "-": lambda left, right: left - right,
    "*": lambda left, right: left * right,
    "/": lambda left, right: left / right,
    "//": lambda left, right: left // right,
    "%": lambda left, right: left % right,
}


@pass_context
def _printed(context: Context, value: Any) -> str:
    written = text(value)
    meter_of(context).spend(1 + len(written) // 64)
    return short(written)
