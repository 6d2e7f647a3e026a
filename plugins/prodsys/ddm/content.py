"""ROOT files opened and counted where a storage is mounted. uproot is imported only when a file is opened."""

from __future__ import annotations

import hashlib
import os
import zlib
from collections.abc import Callable, Collection
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO
from urllib.parse import unquote, urlsplit

from prodsys.ddm.facts import FileFact
from prodsys.errors import FilesUnavailable, FileUnreadable

Opener = Callable[[Path], BinaryIO]

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
    FilesUnavailable
        The storage gives no such file, or an error.
    """
    value = 1
    try:
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK):
                value = zlib.adler32(chunk, value)
    except OSError as error:
        raise _unavailable(path, error) from error
    return f"{value & 0xFFFFFFFF:08x}"


def open_file(path: Path) -> BinaryIO:
    """A file opened for reading, without a memory map: a storage that fails under one would kill the process."""
    return path.open("rb")


class _Watched:
    """A stream that remembers the first error its storage gave: readers of formats hide it in errors of their own."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self.error: OSError | None = None

    def read(self, size: int = -1) -> bytes:
        try:
            return self._stream.read(size)
        except OSError as error:
            self.error = self.error or error
            raise

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        try:
            return self._stream.seek(offset, whence)
        except OSError as error:
            self.error = self.error or error
            raise

    def tell(self) -> int:
        return self._stream.tell()

    def close(self) -> None:
        self._stream.close()


def count_events(
    path: Path, tree: str | None = None, wanted: FileFact | None = None, opener: Opener = open_file
) -> int:
    """Entries of the tree of events in a ROOT file.

    Parameters
    ----------
    path
        The file.
    tree
        Name of the tree; None: ``events``, else the only tree, else the largest.
    wanted
        Size and checksum that its job reported, where they are known.
    opener
        Opens the file; any OSError of it or of its stream is the storage's.

    Raises
    ------
    FileUnreadable
        The whole file can be read, and it is truncated, no ROOT file, or has no such tree.
    FilesUnavailable
        The storage gave an error, no such file, or fewer bytes than it says the file has: nothing is known of the file.
    """
    try:
        stream = _Watched(opener(path))
    except OSError as error:
        raise _unavailable(path, error) from error
    try:
        return _count_stream(path, stream, tree, wanted)
    finally:
        stream.close()


def _count_stream(path: Path, stream: _Watched, tree: str | None, wanted: FileFact | None) -> int:
    import uproot

    try:
        size = stream.seek(0, os.SEEK_END)
        stream.seek(0)
        if size == 0:
            raise FileUnreadable(str(path), "is empty", _LOST)
        with uproot.open(stream) as file:
            _check_whole(path, size, file.file.fEND)
            return _count(path, file, tree)
    except Exception as error:  # uproot has no root of its errors: garbage comes as any of twenty kinds
        if (failed := stream.error or (error if isinstance(error, OSError) and error.errno else None)) is not None:
            raise _unavailable(path, failed) from error
        found = _read_whole(path, stream, wanted)
        if isinstance(error, FileUnreadable):
            raise FileUnreadable(error.path, f"{error.message}; {found}", error.remedy) from error
        words = " ".join(str(error).split())[:200]
        what = f"is no readable ROOT file: {type(error).__name__}: {words}; {found}"
        raise FileUnreadable(str(path), what, _LOST) from error


def _unavailable(path: Path, error: OSError) -> FilesUnavailable:
    return FilesUnavailable(str(path), f"{error.strerror or error}", error.errno)


def _check_whole(path: Path, size: int, end: int) -> None:
    if size < end:
        raise FileUnreadable(str(path), f"is truncated: {size} bytes of the {end} it says it has", _LOST)


def _read_whole(path: Path, stream: _Watched, wanted: FileFact | None) -> str:
    """What the whole file is, against what its job reported; a read that ends early proves nothing about the file."""
    try:
        size = stream.seek(0, os.SEEK_END)
        stream.seek(0)
        read, value = 0, 1
        while chunk := stream.read(_CHUNK):
            read, value = read + len(chunk), zlib.adler32(chunk, value)
    except OSError as error:
        raise _unavailable(path, error) from error
    if read < size:
        raise FilesUnavailable(str(path), f"its storage says it has {size} bytes and gives {read}")
    found = FileFact(size, f"{value & 0xFFFFFFFF:08x}")
    if wanted is None or not (wanted.bytes or wanted.adler32):
        return f"it has {found}"
    return "it is what its job wrote" if found.agrees(wanted) else f"it has {found}, its job reported {wanted}"


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
