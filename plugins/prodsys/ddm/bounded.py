"""Rucio's HTTP layer with an end: a deadline for a whole call, a limit on bytes, no proxy for this machine.

rucio-clients sends with ``requests``, whose timeout starts again with every byte, and lists files line by line in an
answer of any length.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache, partial
from typing import Any

from prodsys.errors import RucioRefused
from prodsys.transport import Deadline, is_this_machine

_CALL = threading.local()  # `deadline` of the call that this thread makes


@contextmanager
def call_deadline(total_s: float) -> Iterator[Deadline]:
    """Cut every connection that this thread uses for Rucio when the time is over."""
    with Deadline(total_s) as deadline:
        _CALL.deadline = deadline
        try:
            yield deadline
        finally:
            _CALL.deadline = None


def _watch(connection: Any) -> None:
    deadline: Deadline | None = getattr(_CALL, "deadline", None)
    if deadline is not None:
        deadline.watch(connection.sock)


def make_session(max_bytes: int) -> Any:
    """A session of ``requests`` within these bounds."""
    from requests import Session

    session = Session()
    for scheme in ("http://", "https://"):
        session.mount(scheme, _adapter_class()(max_bytes))
    return session


@lru_cache(maxsize=1)
def _adapter_class() -> type:
    """Class of the adapter; ``requests`` is imported when it is first needed."""
    from requests.adapters import HTTPAdapter
    from urllib3.connection import HTTPConnection, HTTPSConnection
    from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

    class Watched:
        """A connection that is cut at the deadline, be it new or used before."""

        def connect(self) -> None:
            super().connect()  # type: ignore[misc]
            _watch(self)

        def request(self, *given: Any, **named: Any) -> Any:
            _watch(self)
            return super().request(*given, **named)  # type: ignore[misc]

    class WatchedHTTP(Watched, HTTPConnection):
        pass

    class WatchedHTTPS(Watched, HTTPSConnection):
        pass

    class HTTPPool(HTTPConnectionPool):
        ConnectionCls = WatchedHTTP

    class HTTPSPool(HTTPSConnectionPool):
        ConnectionCls = WatchedHTTPS

    class BoundedAdapter(HTTPAdapter):
        """An adapter whose answers have an end."""

        def __init__(self, max_bytes: int) -> None:
            self._max_bytes = max_bytes
            super().__init__()

        def init_poolmanager(self, *given: Any, **named: Any) -> None:
            super().init_poolmanager(*given, **named)
            self.poolmanager.pool_classes_by_scheme = {"http": HTTPPool, "https": HTTPSPool}

        def send(self, request: Any, *given: Any, **named: Any) -> Any:
            if is_this_machine(request.url):
                named["proxies"] = {}
            return super().send(request, *given, **named)

        def build_response(self, request: Any, answer: Any) -> Any:
            response = super().build_response(request, answer)
            pieces = response.raw.stream
            bounded = partial(_bounded, pieces, self._max_bytes)
            response.raw.stream = bounded  # type: ignore[method-assign]
            return response

    return BoundedAdapter


def _bounded(pieces: Callable[..., Iterator[bytes]], max_bytes: int, *given: Any, **named: Any) -> Iterator[bytes]:
    left = max_bytes
    for piece in pieces(*given, **named):
        left -= len(piece)
        if left < 0:
            raise RucioRefused("answer", f"it has more than {max_bytes} bytes (answer_max_bytes of the profile)")
        yield piece
