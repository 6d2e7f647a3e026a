"""ROOT files opened and counted where a storage is mounted. uproot is imported only when a file is opened."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Collection
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit

from prodsys.errors import FileUnreadable

EVENTS_TREE = "events"
_CHUNK = 1 << 20
_LOST = "the file on the storage is not the one the job wrote: recover its seed"


def sample(files: Collection[str], n: int, key: str) -> tuple[str, ...]:
    """At most ``n`` of the files, in the order of names; the same ones for the same key, whoever asks."""
    ranked = sorted(files, key=lambda name: hashlib.sha256(f"{key}\n{name}".encode()).digest())
    return tuple(sorted(ranked[: max(n, 0)]))


def local_path(pfn: str, rse_root: Path, rse: str) -> Path | None:
    """Where a replica lies on this machine, or None when its storage is not mounted here.

    Parameters
    ----------
    pfn
        Address of the replica, ``file://`` or of a protocol whose storage is mounted.
    rse_root
        Folder that holds one folder (or link) per mounted storage.
    rse
        Name of the storage.

    Raises
    ------
    FileUnreadable
        The storage is mounted and the file is not there.
    """
    mount = rse_root / rse
    if not mount.is_dir():
        return None
    parts = [part for part in PurePosixPath(unquote(urlsplit(pfn).path)).parts if part not in ("/", "")]
    if ".." in parts or not parts:
        raise FileUnreadable(pfn, "is no address of a file", "look at the protocol of the storage in Rucio")
    for first in range(len(parts)):  # the longest end of the address that exists: nobody told where it is mounted
        if (candidate := mount.joinpath(*parts[first:])).is_file():
            return candidate
    raise FileUnreadable(pfn, f"is not below {mount}", f"{_LOST}; or {rse} is mounted elsewhere")


def adler32(path: Path) -> str:
    """Checksum of a file, eight lower-case hex digits.

    Raises
    ------
    FileUnreadable
        The file cannot be read.
    """
    value = 1
    try:
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK):
                value = zlib.adler32(chunk, value)
    except OSError as error:
        raise FileUnreadable(str(path), f"cannot be read: {error.strerror}", "look at the storage") from error
    return f"{value & 0xFFFFFFFF:08x}"


def count_events(path: Path, tree: str | None = None) -> int:
    """Entries of the tree of events in a ROOT file.

    Parameters
    ----------
    path
        The file.
    tree
        Name of the tree; None: ``events``, else the only tree, else the largest.

    Raises
    ------
    FileUnreadable
        The file is missing, truncated, no ROOT file, or has no such tree.
    """
    import uproot

    size = _size(path)
    try:
        with uproot.open(path) as file:
            _check_whole(path, size, file.file.fEND)
            return _count(path, file, tree)
    except FileUnreadable:
        raise
    except Exception as error:  # uproot has no root of its errors: garbage comes as any of twenty kinds
        words = " ".join(str(error).split())[:200]
        raise FileUnreadable(str(path), f"is no readable ROOT file: {type(error).__name__}: {words}", _LOST) from error


def _size(path: Path) -> int:
    try:
        size = path.stat().st_size
    except OSError as error:
        raise FileUnreadable(str(path), f"cannot be read: {error.strerror}", "look at the storage") from error
    if size == 0:
        raise FileUnreadable(str(path), "is empty", _LOST)
    return size


def _check_whole(path: Path, size: int, end: int) -> None:
    if size < end:
        raise FileUnreadable(str(path), f"is truncated: {size} bytes of the {end} it says it has", _LOST)


def _count(path: Path, file: Any, tree: str | None) -> int:
    kinds = file.classnames(cycle=False)
    entries = {name: int(file[name].num_entries) for name, kind in kinds.items() if _is_tree(kind)}
    if tree is None:
        tree = EVENTS_TREE if EVENTS_TREE in entries else max(entries, key=lambda name: entries[name], default=None)
    if tree is None or tree not in entries:
        held = ", ".join(sorted(entries)) or "none"
        raise FileUnreadable(str(path), f"has no tree {tree or 'of events'}; its trees: {held}", "name another tree")
    return entries[tree]


def _is_tree(kind: str) -> bool:
    return kind == "TTree" or kind.endswith("RNTuple")


def warm_up() -> None:
    """Import what opening a file needs; for processes that fork others."""
    import uproot  # noqa: F401
