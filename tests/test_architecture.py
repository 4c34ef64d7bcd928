"""The house rules that a machine can keep: who may import whom, how large a file may grow, what no file may hold."""

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
LARGEST = 400

_ADAPTERS = ("aiokafka", "faststream", "beanie", "pymongo", "aiohttp", "httpx", "litestar", "structlog", "typer")
FORBIDDEN: dict[str, tuple[str, ...]] = {
    # The rules are pure: no I/O and no framework, so that the API, the router and the command line run the same ones.
    "libs/common/domain": (
        *_ADAPTERS,
        "asyncio",
        "socket",
        "random",
        "libs.common.adapters",
        "libs.common.clock",
        "services",
        "deploy",
    ),
    "libs": ("services",),
    "libs/common/adapters": ("libs.common.cli", "libs.common.testing"),
    # No service calls another: they share the log, the database and libs/common.
    "services/api": ("services.router", "services.dispatcher", "deploy"),
    "services/router": ("services.api", "services.dispatcher", "deploy"),
    "services/dispatcher": ("services.api", "services.router", "deploy"),
    # The simulator stands for the outside world: it must not know how the product works.
    "deploy/simulator": ("services", "libs"),
}

PURE_CALLS = {"datetime.now", "datetime.utcnow", "date.today", "time.time", "time.monotonic", "uuid.uuid4", "uuid4"}
"""Reading a clock or drawing at random inside the rules would make them answer differently to the same input."""


def sources(folder: str) -> Iterator[Path]:
    """Every module below `folder`."""
    yield from sorted((ROOT / folder).rglob("*.py"))


def imports(path: Path) -> Iterator[str]:
    """What a module imports, wherever in the file it does."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


def tracked() -> list[Path]:
    """Every file of the repository that git knows or would add."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return [ROOT / line for line in listed.stdout.splitlines() if (ROOT / line).is_file()]


@pytest.mark.parametrize("folder", FORBIDDEN)
def test_nothing_imports_what_it_must_not_know(folder: str) -> None:
    found = [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in sources(folder)
        for name in imports(path)
        for prefix in FORBIDDEN[folder]
        if name == prefix or name.startswith(f"{prefix}.")
    ]

    assert found == []


def test_ports_know_no_adapter() -> None:
    """What a port speaks of would else be one adapter's, and its fake no better than that."""
    ports = [path for top in ("services", "libs") for path in sources(top) if path.stem == "ports"]
    found = [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in ports
        for name in imports(path)
        if name.startswith(("libs.common.adapters", *_ADAPTERS))
    ]

    assert len(ports) > 1
    assert found == []


def test_the_rules_read_no_clock_and_throw_no_dice() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{node.lineno} calls {ast.unparse(node.func)}"
        for path in sources("libs/common/domain")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and ast.unparse(node.func) in PURE_CALLS
    ]

    assert found == []


def test_no_file_is_too_long_to_be_read_at_once() -> None:
    lengths = {
        path: len(path.read_text().splitlines())
        for top in ("services", "libs", "deploy", "tests")
        for path in sources(top)
    }

    assert {str(path): length for path, length in lengths.items() if length > LARGEST} == {}


def test_no_module_is_named_for_nothing_in_particular() -> None:
    vague = {"utils", "util", "helpers", "helper", "manager", "managers", "misc", "common_utils"}

    assert [path for top in ("services", "libs", "deploy") for path in sources(top) if path.stem in vague] == []


def test_every_module_says_what_it_decides() -> None:
    silent = [
        str(path.relative_to(ROOT))
        for top in ("services", "libs", "deploy")
        for path in sources(top)
        if path.read_text().strip() and not ast.get_docstring(ast.parse(path.read_text()))
    ]

    assert silent == []


def test_no_file_names_the_machine_that_it_was_written_on() -> None:
    """Absolute paths of a workplace mean nothing to anybody else."""
    pattern = re.compile(r"/(?:work|root|home/\w+)/(?:main|shared|\.library|\.mirror)\b")
    texts = [path for path in tracked() if path.suffix not in {".png", ".ico"} and path.name != "uv.lock"]
    found = [str(path.relative_to(ROOT)) for path in texts if pattern.search(path.read_text(errors="ignore"))]

    assert found == []
