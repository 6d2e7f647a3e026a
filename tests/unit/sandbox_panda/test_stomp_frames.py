"""Frames of STOMP: what is written reads back, what is no frame is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.panda.messages.stomp_frames import (
    MOST_HEADERS,
    Frame,
    FrameInvalid,
    body_length,
    choose_version,
    read_headers,
    read_heart_beat,
)

NAMES = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0"), min_size=1, max_size=20)
VALUES = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0"), max_size=40)


@given(st.dictionaries(NAMES, VALUES, max_size=8), st.binary(max_size=50))
def test_headers_read_back_whatever_is_in_them(headers: dict[str, str], body: bytes) -> None:
    head, _, rest = Frame("MESSAGE", headers, body).encode().partition(b"\n\n")
    command, *lines = head.decode().split("\n")
    assert command == "MESSAGE"
    assert read_headers(command, lines) == headers
    assert rest == body + b"\0"


def test_connected_is_written_without_escapes() -> None:
    assert Frame("CONNECTED", {"session": "a\\b"}).encode() == b"CONNECTED\nsession:a\\b\n\n\0"


def test_of_a_repeated_header_the_first_counts() -> None:
    assert read_headers("SEND", ["a:1", "a:2", "b:x:y"]) == {"a": "1", "b": "x:y"}


@pytest.mark.parametrize(
    "lines", [["nocolon"], [":x"], ["a:\\t"], ["a:\\"], [f"h{one}:1" for one in range(MOST_HEADERS + 1)]]
)
def test_what_is_no_header_is_refused(lines: list[str]) -> None:
    with pytest.raises(FrameInvalid):
        read_headers("SEND", lines)


@pytest.mark.parametrize(
    ("accepted", "version"), [("1.2", "1.2"), ("1.0,1.1,1.2", "1.2"), ("1.0, 1.1", "1.1"), ("1.0", None), (None, None)]
)
def test_the_highest_common_version_is_spoken(accepted: str | None, version: str | None) -> None:
    assert choose_version(accepted) == version


def test_lengths_and_heart_beats() -> None:
    assert body_length({"content-length": "12"}) == 12
    assert body_length({}) is None
    assert read_heart_beat("100, 2000") == (100, 2000)
    assert read_heart_beat(None) == (0, 0)
    for wrong in ("x", "-1", "99999999999"):
        with pytest.raises(FrameInvalid):
            body_length({"content-length": wrong})
    for wrong in ("1", "a,b", "1,2,3"):
        with pytest.raises(FrameInvalid):
            read_heart_beat(wrong)
