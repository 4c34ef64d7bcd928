"""Makes a folder once: whole, or not at all. What goes into it is the caller's business.

A folder counts only when it holds a marker with the fingerprint of what it was made from. It is built under another
name and renamed when it is complete, so an interrupted download is never taken for a finished one, and a changed pom
or requirements file makes the folder anew.
"""

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path

from deploy.local.locks import hold

MARKER = ".complete"


def provision(folder: Path, fingerprint: str, build: Callable[[Path], None]) -> Path:
    """Return `folder`, built by `build(empty folder)` unless a complete one with this fingerprint is there.

    Two processes that ask at once get one build. Raises what `build` raises; the folder is then not there.
    """
    with hold(folder.with_name(folder.name + ".lock")):
        if _is_complete(folder, fingerprint):
            return folder
        unfinished = folder.with_name(folder.name + ".unfinished")
        for left_over in (unfinished, folder):
            shutil.rmtree(left_over, ignore_errors=True)
        unfinished.mkdir(parents=True)
        build(unfinished)
        (unfinished / MARKER).write_text(fingerprint)
        unfinished.rename(folder)
        return folder


def fingerprint_of(*parts: str | bytes) -> str:
    """A short name for these inputs, the same on every machine."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part.encode() if isinstance(part, str) else part)
        digest.update(b"\0")
    return digest.hexdigest()[:16]


def _is_complete(folder: Path, fingerprint: str) -> bool:
    try:
        return (folder / MARKER).read_text() == fingerprint
    except OSError:
        return False
