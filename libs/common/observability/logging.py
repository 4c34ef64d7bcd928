"""How every process logs: one wide JSON line per unit of work, with ids. Addresses, bodies and secrets never get in:
what may name a person is dropped here, whoever wrote it."""

import logging
import sys
from collections.abc import MutableMapping
from typing import Any, Literal

import structlog

FORBIDDEN = frozenset(
    {"email", "phone", "address", "to", "token", "password", "secret", "authorization", "api_key", "body", "content"}
)
"""Names of fields that could carry personal data or credentials."""


def configure_logging(service: str, level: str = "info", form: Literal["json", "console"] = "json") -> None:
    """Set up logging for the process. Libraries' loggers come the same way, from `warning` on; aiokafka's, which can
    write tens of thousands of lines a minute while a broker is away, at most one line a second for each message."""
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        drop_personal,
    ]
    renderer: Any = (
        structlog.processors.JSONRenderer(default=str)
        if form == "json"
        else structlog.dev.ConsoleRenderer(colors=False)
    )
    structlog.configure(
        processors=[_add_service(service), *shared, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stdout),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[_add_service(service), *shared],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    handler.addFilter(OncePerSecond())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)


def drop_personal(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Replaces the value of every field that must not be logged."""
    for name in FORBIDDEN & event.keys():
        event[name] = "[dropped]"
    return event


def _add_service(service: str) -> Any:
    def add(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        event["service"] = service
        return event

    return add


class OncePerSecond(logging.Filter):
    """Lets one record a second of each place in the code through."""

    def __init__(self) -> None:
        super().__init__()
        self._last: dict[tuple[str, int], float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether this record is the first of its place in the last second."""
        place = (record.pathname, record.lineno)
        if record.created - self._last.get(place, 0.0) < 1.0:
            return False
        self._last[place] = record.created
        return True
