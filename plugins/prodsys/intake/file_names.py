"""Names of files: which belong to a program that is still writing, how any name is shown, how a longer one is made."""

from __future__ import annotations

import os
from pathlib import Path

NAME_BYTES = 255  # of one name on nearly every file system
_BEGINNINGS = (".", "~$")  # hidden, and rsync's temporary files; Office's lock
_COPIES = ("~", ".swp", ".swo", ".swx", ".lock", ".lck")  # of editors, and locks
_PARTIAL = (".part", ".partial", ".filepart", ".tmp", ".temp", ".crdownload", ".download", ".opdownload")


def is_temporary(name: str) -> bool:
    """A hidden file, a lock, a copy of an editor, or a file that is still being written."""
    if name.startswith("#") and name.endswith("#"):
        return True
    return name.startswith(_BEGINNINGS) or name.lower().endswith((*_COPIES, *_PARTIAL))


def shown_name(path: Path | str) -> str:
    """The path as a text of one line: bytes that are no text and control characters as ``\\xff``, ``\\n``."""
    text = os.fsencode(path).decode("utf-8", "backslashreplace")
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def longer_name(stem: str, ending: str) -> str:
    """``stem + ending``, the stem cut so that a file system takes the name."""
    while stem and len(os.fsencode(stem + ending)) > NAME_BYTES:
        stem = stem[:-1]
    return stem + ending
