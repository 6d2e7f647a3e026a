"""An HTTP server that passes every call on to another one and looks around first: what does the world see meanwhile?"""

from __future__ import annotations

import http.client
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

from tests.http_server import QuietHandler, serving

TIMEOUT_S = 30
OF_THE_HOP = {"connection", "transfer-encoding", "content-length", "keep-alive"}


@contextmanager
def relay(target: str, look: Callable[[str], object]) -> Iterator[str]:
    """Yield the address of a relay to ``target``; ``look("GET /path")`` is called before each call is passed on."""
    place = urlsplit(target)

    class Handler(QuietHandler):
        def _pass_on(self) -> None:
            look(f"{self.command} {self.path}")
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0)) or None
            behind = http.client.HTTPConnection(place.hostname or "", place.port or 80, timeout=TIMEOUT_S)
            try:
                behind.request(self.command, self.path, body, dict(self.headers))
                reply = behind.getresponse()
                data = reply.read()
            finally:
                behind.close()
            self.send_response(reply.status)
            for name, value in reply.getheaders():
                if name.lower() not in OF_THE_HOP:
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _pass_on

    with serving(Handler) as url:
        yield url
