"""What is known of a process before it is started: its command, its environment, how to see that it is ready."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

Probe = Callable[[], bool]
"""Says whether a program answers now. Blocks for two seconds at most and never raises."""


@dataclass(frozen=True, slots=True)
class Program:
    """A long-running process, restarted when it dies."""

    name: str
    argv: tuple[str, ...]
    ready: Probe | None = None  # None: ready as soon as it runs
    environ: Mapping[str, str] = field(default_factory=dict)  # over the supervisor's own
    after: tuple[str, ...] = ()  # names of what must be ready or done before it starts
    is_server: bool = False  # servers are stopped last: the others still need them to stop cleanly


@dataclass(frozen=True, slots=True)
class Step:
    """A command that runs once and must end with 0 before what comes after it starts."""

    name: str
    argv: tuple[str, ...]
    environ: Mapping[str, str] = field(default_factory=dict)
    after: tuple[str, ...] = ()


def environ_of(of: Program | Step) -> dict[str, str]:
    """The whole environment that the process gets."""
    return {**os.environ, "PYTHONUNBUFFERED": "1", **of.environ}
