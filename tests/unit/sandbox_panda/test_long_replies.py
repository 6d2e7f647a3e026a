"""Replies that are written part by part read like those that are written at once."""

from __future__ import annotations

import asyncio
import json
from datetime import datetime
from typing import Any

import pytest
from starlette.responses import StreamingResponse

from sandbox.panda.api.envelope import LongData, Reply, dump_json, render, write_list

PARTS: list[list[Any]] = [[{"lfn": "a", "scope": None}], [{"lfn": "it's", "n": True}, 3], [datetime(2026, 11, 21)]]
FLAT = [item for part in PARTS for item in part]


def _text(response: Any) -> str:
    async def read() -> str:
        return "".join(
            [part if isinstance(part, str) else bytes(part).decode() async for part in response.body_iterator]
        )

    return asyncio.run(read())


@pytest.mark.parametrize("accept", ["application/json", ""])
def test_a_long_reply_has_the_same_text_as_a_short_one(accept: str) -> None:
    long = render(Reply(True, "said", LongData(lambda dump: write_list(PARTS, dump))), accept)
    short = render(Reply(True, "said", FLAT), accept)
    assert isinstance(long, StreamingResponse)
    assert _text(long) == bytes(short.body).decode()
    assert long.headers["content-type"] == short.headers["content-type"] == "text/plain"


def test_a_list_without_parts_is_an_empty_list() -> None:
    assert json.loads("".join(write_list([], dump_json))) == []
