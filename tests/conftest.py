"""What every test may ask for: the servers, and names in them that are its own.

The servers come from KAFKA_BOOTSTRAP_SERVERS and MONGODB_URI, from Docker, or are started as processes, in this order
(`deploy/local/README.md`). One set serves the whole run with all its xdist workers; a run that asks for none starts
none.
"""

import os
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import structlog
from pymongo import MongoClient

from deploy.local.servers import StackAddress
from deploy.local.shared import join_stack, lend_stack

RUN_VARIABLE = "SIGMORA_TEST_RUN"
_at_end = pytest.StashKey[ExitStack]()


def pytest_configure(config: pytest.Config) -> None:
    """The run's main process lends the stack; xdist's workers inherit where it is."""
    # A traceback with the values of all variables takes seconds to draw when a group of deliveries is among them.
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback),
        ]
    )
    if hasattr(config, "workerinput"):
        return
    run = tempfile.mkdtemp(prefix="sigmora-tests-")
    os.environ[RUN_VARIABLE] = run
    config.stash[_at_end] = ExitStack()
    config.stash[_at_end].enter_context(lend_stack(Path(run)))


def pytest_unconfigure(config: pytest.Config) -> None:
    """The run is over: so are its servers."""
    if _at_end in config.stash:
        config.stash[_at_end].close()


@pytest.fixture(scope="session")
def stack() -> StackAddress:
    """Kafka and Mongo, ready, shared by every test of the run."""
    return join_stack(Path(os.environ[RUN_VARIABLE]))


@pytest.fixture(scope="session")
def mongo_client(stack: StackAddress) -> Iterator[MongoClient[dict[str, object]]]:
    """A blocking client, for setting up and cleaning up."""
    with MongoClient[dict[str, object]](stack.mongodb_uri) as client:
        yield client


@pytest.fixture
def topic_prefix() -> str:
    """What the names of a test's topics and groups begin with."""
    return f"t-{uuid.uuid4().hex[:8]}."


@pytest.fixture
def database_name(mongo_client: MongoClient[dict[str, object]]) -> Iterator[str]:
    """A database of the test's own, dropped at the end."""
    name = f"t_{uuid.uuid4().hex[:8]}"
    yield name
    mongo_client.drop_database(name)
