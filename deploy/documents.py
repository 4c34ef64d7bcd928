"""Writes the generated parts of documents: `python -m deploy.documents` brings them up to date, and a test fails while
they are not. What is generated stands between `<!-- settings -->` and `<!-- /settings -->`."""

import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from libs.common.cli.settings import ClientSettings
from libs.common.domain.durations import format_duration
from libs.common.settings import SettingsGroup
from services.api.emitter import EmitterSettings
from services.api.settings import ApiSettings
from services.dispatcher.settings import Settings as DispatcherSettings
from services.router.settings import Settings as RouterSettings

README = Path(__file__).parent.parent / "README.md"
PROCESSES: dict[str, type[SettingsGroup]] = {
    "API": ApiSettings,
    "router": RouterSettings,
    "dispatcher": DispatcherSettings,
    "emitter": EmitterSettings,
    "command line": ClientSettings,
}


def settings_table() -> str:
    """Every setting of every process, once, with the processes that read it."""
    readers: dict[str, list[str]] = {}
    fields: dict[str, FieldInfo] = {}
    for process, model in PROCESSES.items():
        for variable, field in variables(model):
            readers.setdefault(variable, []).append(process)
            fields.setdefault(variable, field)
    rows = [
        f"| `{name}` | {_default(fields[name])} | {', '.join(readers[name])} | {fields[name].description} |"
        for name in sorted(fields, key=lambda name: (len(readers[name]) == 1, readers[name][0], name))
    ]
    return "\n".join(["| variable | default | read by | meaning |", "|---|---|---|---|", *rows])


def variables(model: type[SettingsGroup]) -> Iterator[tuple[str, FieldInfo]]:
    """The variables of a settings model, those of its groups too."""
    prefix = model.model_config.get("env_prefix", "")
    for name, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, SettingsGroup):
            yield from variables(field.annotation)
        else:
            alias = field.validation_alias
            yield alias if isinstance(alias, str) else f"{prefix}{name}".upper(), field


def _default(field: FieldInfo) -> str:
    value: Any = field.get_default(call_default_factory=True, validated_data={})
    if value is PydanticUndefined:
        return "required"
    if value is None or value == "" or value == ():
        return "none"
    return f"`{_written(value)}`"


def _written(value: Any) -> str:
    if isinstance(value, timedelta):
        return format_duration(value)
    if isinstance(value, tuple):
        return ",".join(map(_written, value))
    return str(value).lower() if isinstance(value, bool) else str(value)


def with_settings(text: str) -> str:
    """The document with its settings table as it should be."""
    before, _, rest = text.partition("<!-- settings -->")
    _, _, after = rest.partition("<!-- /settings -->")
    return f"{before}<!-- settings -->\n{settings_table()}\n<!-- /settings -->{after}"


def main() -> int:
    """Bring the documents up to date."""
    README.write_text(with_settings(README.read_text()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
