"""Runs what a command does in MongoDB: waits a little for a server that is just starting, and says in one line when
there is none. Knows no collection."""

import asyncio
from collections.abc import Coroutine
from datetime import timedelta
from typing import Any, TypeVar

from libs.common.cli.output import fail
from libs.common.domain.errors import Unavailable

T = TypeVar("T")

PATIENCE = timedelta(seconds=10)
"""As long as a server takes that was started at the same time."""


def in_database(work: Coroutine[Any, Any, T]) -> T:
    """The result of `work`; ends the command with exit code 1 when there is no database."""
    try:
        return asyncio.run(work)
    except Unavailable as error:
        fail(f"{error}. Is the server of MONGODB_URI running? (make run starts one)")
