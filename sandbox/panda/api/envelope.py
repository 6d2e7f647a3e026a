"""How the server answers: the envelope, dates, and content types exactly as recorded."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from fastapi import Response
from starlette.responses import StreamingResponse

NOT_FOUND_PAGE = (
    '<!DOCTYPE HTML PUBLIC "-//W3C//DTD HTML 4.01//EN" "http://www.w3.org/TR/html4/strict.dtd">\n'
    "<html><head>\n<title>404 Not Found</title>\n</head><body>\n<h1>Not Found</h1>\n"
    "<p>The requested URL was not found on this server.</p>\n</body></html>\n"
)


Dump = Callable[[Any], str]
"""From a value to its text, as JSON or as a Python repr."""


@dataclass(frozen=True)
class LongData:
    """Data too long to be held at once; `write` yields their text in parts, each value through the function given."""

    write: Callable[[Dump], Iterator[str]]


@dataclass(frozen=True)
class Reply:
    """What an endpoint has to say; `drop` means that the connection dies before it is said."""

    success: bool = True
    message: str = ""
    data: Any = None
    drop: bool = False


class Refused(Exception):
    """The call ends with an HTTP error and plain text instead of an envelope."""

    def __init__(self, status: int, text: str) -> None:
        self.status, self.text = status, text
        super().__init__(text)


def encode_value(value: Any) -> Any:
    """JSON form of a value JSON does not know: dates as PanDA marks them."""
    if isinstance(value, datetime):
        return {"__datetime__": value.isoformat()}
    raise TypeError(f"{type(value).__name__} cannot be written as JSON")


def dump_json(value: Any) -> str:
    """JSON of a value, dates as PanDA marks them."""
    return json.dumps(value, default=encode_value)


def write_list(parts: Iterable[list[Any]], dump: Dump) -> Iterator[str]:
    """Yield the text of one list whose items come in parts, none of them empty."""
    separator = "["
    for part in parts:
        yield separator + dump(part)[1:-1]
        separator = ", "
    yield "[]" if separator == "[" else "]"


def plain(text: str, status: int = 200) -> Response:
    """Text with the content type of every reply of the API."""
    return Response(text.encode(), status_code=status, headers={"content-type": "text/plain"})


def render(reply: Reply, accept: str) -> Response:
    """Return the envelope; a client that does not accept JSON gets a Python repr, as from the real server."""
    dump: Dump = dump_json if "application/json" in accept else str
    body = {"success": reply.success, "message": reply.message, "data": reply.data}
    if isinstance(reply.data, LongData):
        return StreamingResponse(_write_long(body, reply.data, dump), headers={"content-type": "text/plain"})
    return plain(dump(body))


def _write_long(body: dict[str, Any], data: LongData, dump: Dump) -> Iterator[str]:
    yield dump({**body, "data": 0})[: -len("0}")]
    yield from data.write(dump)
    yield "}"


def not_found_page() -> Response:
    """Return Apache's page for what is outside the API."""
    return Response(NOT_FOUND_PAGE, status_code=404, headers={"content-type": "text/html; charset=iso-8859-1"})
