"""How the server answers: the envelope, dates, and content types exactly as recorded."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from fastapi import Response

NOT_FOUND_PAGE = (
    '<!DOCTYPE HTML PUBLIC "-//W3C//DTD HTML 4.01//EN" "http://www.w3.org/TR/html4/strict.dtd">\n'
    "<html><head>\n<title>404 Not Found</title>\n</head><body>\n<h1>Not Found</h1>\n"
    "<p>The requested URL was not found on this server.</p>\n</body></html>\n"
)


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


def plain(text: str, status: int = 200) -> Response:
    """Text with the content type of every reply of the API."""
    return Response(text.encode(), status_code=status, headers={"content-type": "text/plain"})


def render(reply: Reply, accept: str) -> Response:
    """Return the envelope; a client that does not accept JSON gets a Python repr, as from the real server."""
    body = {"success": reply.success, "message": reply.message, "data": reply.data}
    if "application/json" not in accept:
        return plain(str(body))
    return plain(json.dumps(body, default=encode_value))


def not_found_page() -> Response:
    """Return Apache's page for what is outside the API."""
    return Response(NOT_FOUND_PAGE, status_code=404, headers={"content-type": "text/html; charset=iso-8859-1"})
