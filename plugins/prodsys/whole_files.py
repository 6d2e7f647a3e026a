"""Files that are there whole or not at all: written beside their place, synchronised, and moved there in one step."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

UNFINISHED = ".part"  # how the names of files end that wait beside their place


def stage(path: Path, text: str, *, mode: int = 0o600) -> Path:
    """Write a text beside its place; the file that waits there.

    Parameters
    ----------
    path
        Where it will be; the folder is made if need be.
    mode
        Rights of the file.

    Raises
    ------
    OSError
        The file system does not take it; nothing is left behind.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name.lstrip('.')}.", suffix=UNFINISHED)
    waiting = Path(name)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as out:
            out.write(text)
            out.flush()
            os.fsync(out.fileno())
            os.fchmod(out.fileno(), mode)
    except BaseException:
        waiting.unlink(missing_ok=True)
        raise
    return waiting


def write_whole(path: Path, text: str, *, mode: int = 0o600) -> None:
    """Write a file, or replace it, in one step; parameters and errors as for `stage`."""
    waiting = stage(path, text, mode=mode)
    try:
        waiting.replace(path)
    except BaseException:
        waiting.unlink(missing_ok=True)
        raise
