"""A small HTTP server of a test, on a free port of this machine, while a block runs."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class QuietHandler(BaseHTTPRequestHandler):
    """Answers calls and writes no log."""

    def log_message(self, *arguments: object) -> None:
        """Be quiet."""


@contextmanager
def serving(handler: type[BaseHTTPRequestHandler], poll_s: float = 0.5) -> Iterator[str]:
    """Yield the address of a server with this handler; at the end it is gone within ``poll_s`` [s]."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, args=(poll_s,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
