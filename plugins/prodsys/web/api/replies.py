"""Answers with their ETag: of a request the tag of its picture, of everything else of its bytes."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping

from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response

JSON = "application/json"
_TAG = re.compile(r'(W/)?"([^"]*)"')
ANY = "*"


def etag(tag: str) -> str:
    """A tag as ETag and If-Match write it."""
    return f'"{tag}"'


def tags_in(header: str, *, strong: bool) -> tuple[str, ...]:
    """Tags of an If-Match or If-None-Match header; ``*`` stands for any. ``strong``: weak ones match nothing.

    A star in quotes is a tag like another, and no picture has it.
    """
    if header.strip() == ANY:
        return (ANY,)
    return tuple(tag for weak, tag in _TAG.findall(header) if tag != ANY and not (strong and weak))


def reply(
    request: Request, body: BaseModel, *, tag: str | None = None, headers: Mapping[str, str] | None = None
) -> Response:
    """200 with the body, or 304 when the caller has it already."""
    data = body.model_dump_json()
    known = tag or hashlib.sha256(data.encode()).hexdigest()[:32]
    named = {**(headers or {}), "ETag": etag(known)}
    asked = tags_in(request.headers.get("if-none-match", ""), strong=False)
    if known in asked or ANY in asked:
        return Response(status_code=304, headers=named)
    return Response(data, media_type=JSON, headers=named)
