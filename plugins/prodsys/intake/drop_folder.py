"""The drop folder: which of its files rest, what they hold, where they go.

A file may still be written by its sender, be a link to something else, or have any name. So a file is taken when two
looks found it the same and nobody has written for a while; it is opened without following links, looked at again after
it was read, and moved only when it is still the same file.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path, PurePath

from prodsys.intake.file_names import is_temporary, longer_name, shown_name
from prodsys.intake.result import Fault
from prodsys.intake.text_file import MAX_BYTES, write_json

DONE, FAULTY = "done", "faulty"
LOOKS = ".looks.json"
LONGEST_SUFFIX = 20  # characters; what is longer belongs to the name
_KINDS = {
    stat.S_ISLNK: "is a link: links are not followed",
    stat.S_ISDIR: "is a folder: it is not looked into",
    stat.S_ISFIFO: "is a pipe",
    stat.S_ISSOCK: "is a socket",
}
_OPEN = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
Stamp = tuple[int, ...]


@dataclass(frozen=True)
class Taken:
    """One file as it was read; ``content`` is None when it cannot be read, and ``fault`` says why."""

    name: str
    shown: str  # its path, for people
    stamp: Stamp
    content: bytes | None = None
    fault: Fault | None = None


class DropFolder:
    """One drop folder; ``rest_s`` is how long nobody has written to a file that is taken [s]."""

    def __init__(self, path: Path, rest_s: float) -> None:
        self.path, self._rest_s = path, rest_s

    # --- which files ----------------------------------------------------------------------------------------------
    def look(self, now: float) -> tuple[list[str], list[Fault]]:
        """Names of the files that rest, and faults of what is no file; remembers what it saw for the next look."""
        before, seen = self._read_looks(), {}
        resting: list[str] = []
        faults: list[Fault] = []
        for name in sorted(one.name for one in self.path.iterdir()):
            if is_temporary(name) or name in (DONE, FAULTY):
                continue
            with suppress(FileNotFoundError):  # it has gone meanwhile
                info = os.lstat(self.path / name)
                if problem := _no_file(info):
                    faults.append(Fault(self._shown(name), None, "", "", problem, "put the file itself here"))
                    continue
                stamp, first_seen = _stamp(info), now
                if name in before and before[name][0] == stamp:
                    first_seen = before[name][1]
                    if now - min(first_seen, info.st_mtime) >= self._rest_s:
                        resting.append(name)
                seen[name] = (stamp, first_seen)
        self._write_looks(seen)
        return resting, faults

    def _read_looks(self) -> dict[str, tuple[Stamp, float]]:
        """Name -> stamp, and since when it is so; empty when what was written cannot be read."""
        try:
            handle = os.open(self.path / LOOKS, _OPEN)
            with os.fdopen(handle, encoding="utf-8") as stream:
                found = json.load(stream)
            return {name: (tuple(stamp), float(since)) for name, (stamp, since) in found.items()}
        except (OSError, ValueError, TypeError, AttributeError):
            return {}

    def _write_looks(self, seen: Mapping[str, tuple[Stamp, float]]) -> None:
        write_json(self.path / LOOKS, seen)

    # --- what they hold -------------------------------------------------------------------------------------------
    def take(self, name: str) -> Taken | None:
        """The file with its bytes; None when it was written, replaced or taken away while it was read."""
        try:
            handle = os.open(self.path / name, _OPEN)
        except FileNotFoundError:
            return None
        except OSError as error:
            return self._untakable(name, f"cannot be read: {error.strerror}", "check its permissions")
        with os.fdopen(handle, "rb") as stream:
            before = os.fstat(handle)
            if _no_file(before):
                return None
            if before.st_size > MAX_BYTES:
                message = f"is huge: {before.st_size:,} bytes"
                return self._untakable(name, message, f"at most {MAX_BYTES:,}; split it or check what it is")
            try:
                content = stream.read(MAX_BYTES + 1)
            except OSError as error:
                return self._untakable(name, f"cannot be read: {error.strerror}", "copy it again")
            same = _stamp(os.fstat(handle)) == _stamp(before) and len(content) == before.st_size
        taken = Taken(name, self._shown(name), _stamp(before), content)
        return taken if same and self.is_same(taken) else None

    def _untakable(self, name: str, message: str, remedy: str) -> Taken | None:
        try:
            stamp = _stamp(os.lstat(self.path / name))
        except FileNotFoundError:
            return None
        return Taken(name, self._shown(name), stamp, fault=Fault(self._shown(name), None, "", "", message, remedy))

    def is_same(self, taken: Taken) -> bool:
        """The file still is the one that was read."""
        try:
            return _stamp(os.lstat(self.path / taken.name)) == taken.stamp
        except OSError:
            return False

    # --- where they go --------------------------------------------------------------------------------------------
    def put_away(self, taken: Taken, place: str, reports: Mapping[str, str]) -> None:
        """Move a file to ``done`` or ``faulty``, with reports beside it (ending -> text); nothing is overwritten.

        Raises
        ------
        OSError
            The file, or the place, cannot be written.
        """
        with self._folder(place) as folder:
            names, opened = _reserve(folder, taken.name, list(reports))
            try:
                for ending, text in reports.items():
                    _close_to_others(opened[ending], os.lstat(self.path / taken.name))
                    with os.fdopen(os.dup(opened[ending]), "w", encoding="utf-8", errors="backslashreplace") as stream:
                        stream.write(text)
                os.rename(self.path / taken.name, names[""], dst_dir_fd=folder)
            except OSError:
                for name in names.values():
                    os.unlink(name, dir_fd=folder)
                raise
            finally:
                for handle in opened.values():
                    os.close(handle)

    @contextmanager
    def _folder(self, name: str) -> Iterator[int]:
        """An opened folder in this one, made if need be; a link in its place is an OSError."""
        path = self.path / name
        path.mkdir(exist_ok=True)
        handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            yield handle
        finally:
            os.close(handle)

    def _shown(self, name: str) -> str:
        return shown_name(self.path / name)


def _stamp(info: os.stat_result) -> Stamp:
    return (info.st_dev, info.st_ino, info.st_size, info.st_mtime_ns, info.st_ctime_ns)


def _no_file(info: os.stat_result) -> str:
    """Why this is not an ordinary file with one name; "" when it is."""
    for is_kind, what in _KINDS.items():
        if is_kind(info.st_mode):
            return what
    if not stat.S_ISREG(info.st_mode):
        return "is a device"
    return "is a second name of a file (a hard link)" if info.st_nlink > 1 else ""


def _reserve(folder: int, name: str, endings: list[str]) -> tuple[dict[str, str], dict[str, int]]:
    """Names that are free for a file ("") and its reports (by ending), made as empty files, and those opened."""
    suffix = PurePath(name).suffix if len(PurePath(name).suffix) <= LONGEST_SUFFIX else ""
    stem, number = name.removesuffix(suffix), 0
    while True:
        numbered = f".{number}{suffix}" if number else suffix
        names = {ending: longer_name(stem, f"{numbered}{ending}") for ending in ("", *endings)}
        if (opened := _make_all(folder, names)) is not None:
            return names, opened
        number += 1


def _make_all(folder: int, names: Mapping[str, str]) -> dict[str, int] | None:
    """All of these files, empty and open; None, and none of them, when one is there already."""
    opened: dict[str, int] = {}
    try:
        for ending, name in names.items():
            opened[ending] = os.open(name, _NEW, 0o600, dir_fd=folder)
    except FileExistsError:
        for ending, handle in opened.items():
            os.close(handle)
            os.unlink(names[ending], dir_fd=folder)
        return None
    return opened


def _close_to_others(handle: int, file: os.stat_result) -> None:
    """A report repeats what the file holds: it is for the file's owner, and for its group if the file is."""
    with suppress(PermissionError):
        os.fchown(handle, -1, file.st_gid)
        os.fchown(handle, file.st_uid, -1)
    os.fchmod(handle, 0o600 | (file.st_mode & 0o040))
