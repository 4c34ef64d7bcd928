"""A MongoDB-compatible server as one local process: SecantusDB. Knows how to get it and how to start it, not when.

It is GPL-2.0 and a beta: a program of its own with its own environment, never imported, for development and tests only.
"""

import shutil
import sys
from pathlib import Path

from deploy.local import places
from deploy.local.ports import HOST
from deploy.local.probes import mongo_answers
from deploy.local.program import Program
from deploy.local.provision import fingerprint_of, provision
from deploy.local.tools import run_tool

REQUIREMENTS = places.HERE / "secantusdb.txt"
HOME = places.STACK / "secantusdb"
RUST_SERVER = "secantusd-rs"  # ten times faster; `make stack-rust` builds it
RUST_HOME = places.STACK / "secantusdb-rust"


def mongo_uri(port: int) -> str:
    """Where a local server listens: one node, asked directly, writes acknowledged when they are on disk.

    Without the driver's retryable writes: the server keeps their answers, and from 10,000 of them on it looks through
    all of them at every write (6 ms for a group of six writes became 50 ms). Ours can all be repeated anyway.
    """
    return f"mongodb://{HOST}:{port}/?directConnection=true&journal=true&retryWrites=false"


def install_mongo() -> tuple[str, ...]:
    """Find the server, or install it once into an environment of its own. Returns the command that runs it."""
    built = shutil.which(RUST_SERVER) or shutil.which(RUST_SERVER, path=str(RUST_HOME / "bin"))
    if built:
        return (built,)
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    provision(HOME, fingerprint_of(REQUIREMENTS.read_bytes(), sys.executable, version), _build)
    # not the script `secantusd-py`: it names the folder that it was installed in, and ours was renamed
    return (str(HOME / "bin" / "python"), "-m", "secantus")


def mongo_program(server: tuple[str, ...], data: Path, port: int, *, durable: bool = True) -> Program:
    """The command that runs `server` with its files in `data`. When it is not durable, it does not wait for the disk:
    a stop keeps everything, a kill may lose the last writes."""
    data.mkdir(parents=True, exist_ok=True)
    storage = ["--storage-path", str(data)]
    if durable:
        storage.append("--sync-on-commit")  # without it 20-75 acknowledged writes were lost at kill -9
    return Program(
        name="mongo",
        # Standalone, it keeps no log for change streams, which nobody here reads: that was a quarter of every write.
        argv=(*server, "--host", HOST, "--port", str(port), *storage, "--cache-size", "256M", "--standalone"),
        ready=mongo_answers(mongo_uri(port)),
        is_server=True,
    )


def _build(home: Path) -> None:
    """An environment from the locked, hashed requirements: by uv in one second, by pip where there is no uv."""
    doing = "installing SecantusDB"
    requirements = ["--require-hashes", "-r", str(REQUIREMENTS)]
    python = str(home / "bin" / "python")
    uv = shutil.which("uv") or shutil.which("uv", path=str(places.CHECKOUT / ".tools" / "uv" / "bin"))
    if uv:
        run_tool([uv, "venv", "-q", "--clear", "--python", sys.executable, str(home)], doing)
        run_tool([uv, "pip", "install", "-q", "--python", python, *requirements], doing)
    else:
        run_tool([sys.executable, "-m", "venv", str(home)], doing)
        run_tool([python, "-m", "pip", "install", "-q", *requirements], doing)
