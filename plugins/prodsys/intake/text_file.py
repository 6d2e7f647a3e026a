"""Bytes of a file to text, with an error that says what is wrong with it."""

from __future__ import annotations

import json
from pathlib import Path

from prodsys.errors import FileUnreadable
from prodsys.whole_files import write_whole

MAX_BYTES = 20_000_000  # a hundred times the largest table a person writes
_SIGNATURES = {
    b"PK\x03\x04": "a ZIP archive or an Office document",
    b"\xd0\xcf\x11\xe0": "an Office document of before 2007 (.xls), or one with a password",
    b"%PDF": "a PDF",
    b"\x1f\x8b": "a gzip archive",
    b"\x89PNG": "a picture",
    b"\xff\xd8\xff": "a picture",
    b"\x7fELF": "a program",
}
_UTF16 = (b"\xff\xfe", b"\xfe\xff")


def read_bytes(path: Path, max_bytes: int = MAX_BYTES, may_be_empty: bool = False) -> bytes:
    """Content of the file.

    Raises
    ------
    FileUnreadable
        It is missing, no file, empty or larger than ``max_bytes``.
    """
    try:
        if path.is_dir():
            raise FileUnreadable(str(path), "is a folder", "name a file")
        if not path.is_file():
            raise FileUnreadable(str(path), "is not there, or no ordinary file", "check the path")
        size = path.stat().st_size
        if size > max_bytes:
            raise FileUnreadable(
                str(path), f"is huge: {size:,} bytes", f"at most {max_bytes:,}; split it or check what it is"
            )
        content = path.read_bytes()
    except OSError as error:
        raise FileUnreadable(str(path), f"cannot be read: {error.strerror}", "check path and permissions") from error
    if not may_be_empty and not content.strip(b"\xef\xbb\xbf \t\r\n"):
        raise FileUnreadable(str(path), "is empty", "save the table again, with its two header rows")
    return content


def decode(content: bytes, path: Path) -> str:
    """Text of an UTF-8 file, byte order mark taken off.

    Raises
    ------
    FileUnreadable
        It is binary, or in another encoding; the likely one is named.
    """
    for signature, what in _SIGNATURES.items():
        if content.startswith(signature):
            raise FileUnreadable(str(path), f"is {what}, not a text", "save it as CSV (UTF-8) or XLSX")
    if content.startswith(_UTF16):
        raise FileUnreadable(str(path), "is encoded in UTF-16, not in UTF-8 (byte 0, line 1)", "save as CSV UTF-8")
    if b"\x00" in content:
        place = content.index(b"\x00")
        line = content.count(b"\n", 0, place) + 1
        raise FileUnreadable(str(path), f"holds a NUL byte (byte {place}, line {line})", "save as CSV UTF-8")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _wrong_encoding(content, path, error.start) from error


def _wrong_encoding(content: bytes, path: Path, place: int) -> FileUnreadable:
    line = content.count(b"\n", 0, place) + 1
    start = content.rfind(b"\n", 0, place) + 1
    message = f"is not UTF-8: byte 0x{content[place]:02x} at {place} (line {line}, byte {place - start + 1} of it)"
    return FileUnreadable(str(path), message, f"{_guess(content)}; save it as CSV UTF-8")


def _guess(content: bytes) -> str:
    high = [byte for byte in content if byte >= 0x80]
    cyrillic = sum(byte >= 0xC0 or byte in (0xA8, 0xB8, 0xB9, 0xA0, 0x97, 0x96, 0xAB, 0xBB) for byte in high)
    text = content.decode("cp1251", errors="replace")
    lower = sum("\u0430" <= char <= "\u044f" for char in text)
    if cyrillic >= 0.9 * len(high) and lower >= 0.5 * len(high):
        return "it looks like cp1251 (Windows Cyrillic)"
    if len(high) <= 0.3 * len(content):
        return "it looks like cp1252 or latin-1 (Windows, Western Europe)"
    return "it looks binary, not like a table"


def write_json(path: Path, value: object) -> None:
    """Write a file that this user alone can read, whole or not at all; its folder is made if need be."""
    write_whole(path, json.dumps(value))
