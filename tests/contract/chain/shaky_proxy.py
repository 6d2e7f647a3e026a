"""A proxy in front of a server that is away for so many calls: it answers them with a page, as proxies do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import httpx

from tests.http_server import QuietHandler, serving

PAGE = b"<!DOCTYPE HTML><html><head><title>503 Service Unavailable</title></head><body><p>Try later.</p></body></html>"
FORWARDED = ("authorization", "origin", "accept", "content-type")


@dataclass
class Shaky:
    """The proxy's book."""

    url: str = ""
    away: int = 0  # calls that are turned away yet
    turned_away: list[str] = field(default_factory=list)


@contextmanager
def shaky_proxy(target: str) -> Iterator[Shaky]:
    """Yield a proxy before this address."""
    book = Shaky()

    class Handler(QuietHandler):
        def _forward(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if book.away > 0:
                book.away -= 1
                book.turned_away.append(self.path)
                return self._answer(503, "text/html", PAGE)
            headers = {name: value for name, value in self.headers.items() if name.lower() in FORWARDED}
            reply = httpx.request(self.command, target + self.path, content=body, headers=headers, timeout=60)
            return self._answer(reply.status_code, reply.headers.get("Content-Type", ""), reply.content)

        def _answer(self, status: int, kind: str, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = _forward

    with serving(Handler) as book.url:
        yield book
