"""Frames of STOMP 1.1 and 1.2 as bytes and back: pure, as the specification says.

Source: STOMP Protocol Specification, Version 1.2 (stomp.github.io).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

VERSIONS = ("1.2", "1.1")
LONGEST_LINE = 8192
MOST_HEADERS = 64
LARGEST_BODY = 1024 * 1024
_UNESCAPED = ("CONNECT", "CONNECTED")
_ESCAPES = {"\\": "\\\\", "\n": "\\n", ":": "\\c", "\r": "\\r"}
_MEANT = {escaped[1]: sign for sign, escaped in _ESCAPES.items()}


class FrameInvalid(Exception):
    """What a client sent is no frame; the text says why."""


@dataclass(frozen=True)
class Frame:
    """One frame; header names and values without escapes."""

    command: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""

    def encode(self) -> bytes:
        """The frame as it goes over the wire."""
        plain = self.command in _UNESCAPED
        lines = [
            f"{name}:{value}" if plain else f"{_escape(name)}:{_escape(value)}" for name, value in self.headers.items()
        ]
        return "\n".join([self.command, *lines, "", ""]).encode() + self.body + b"\0"


def _escape(text: str) -> str:
    return re.sub(r"[\\\n:\r]", lambda match: _ESCAPES[match.group(0)], text)


def _unescape(text: str) -> str:
    def meant(match: re.Match[str]) -> str:
        if match.group(1) not in _MEANT:
            raise FrameInvalid(f"undefined escape {match.group(0)!r} in a header")
        return _MEANT[match.group(1)]

    return re.sub(r"\\(.?)", meant, text, flags=re.DOTALL)


def read_headers(command: str, lines: list[str]) -> dict[str, str]:
    """Headers of a frame; of a repeated one the first counts.

    Raises
    ------
    FrameInvalid
        A line has no colon, or an escape that is not defined.
    """
    if len(lines) > MOST_HEADERS:
        raise FrameInvalid(f"more than {MOST_HEADERS} headers")
    headers: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon or not name:
            raise FrameInvalid(f"{line[:60]!r} is no header")
        if command not in _UNESCAPED:
            name, value = _unescape(name), _unescape(value)
        headers.setdefault(name, value)
    return headers


def body_length(headers: Mapping[str, str]) -> int | None:
    """Length of the body [bytes] as the frame says, or None: up to the next NUL.

    Raises
    ------
    FrameInvalid
        The length is no number, or too large.
    """
    said = headers.get("content-length")
    if said is None:
        return None
    if not re.fullmatch(r"\d{1,9}", said) or int(said) > LARGEST_BODY:
        raise FrameInvalid(f"content-length {said[:20]!r} is no length up to {LARGEST_BODY}")
    return int(said)


def choose_version(accepted: str | None) -> str | None:
    """Return the version to be spoken with a client that accepts these, or None."""
    offered = [one.strip() for one in (accepted or "1.0").split(",")]
    return next((version for version in VERSIONS if version in offered), None)


def read_heart_beat(said: str | None) -> tuple[int, int]:
    """What a client can send and wants to get [ms]; ``0,0`` when it says nothing.

    Raises
    ------
    FrameInvalid
        These are no two numbers.
    """
    match = re.fullmatch(r"(\d{1,9}),(\d{1,9})", (said or "0,0").replace(" ", ""))
    if match is None:
        raise FrameInvalid(f"heart-beat {said!r} is no pair of numbers")
    return int(match.group(1)), int(match.group(2))
