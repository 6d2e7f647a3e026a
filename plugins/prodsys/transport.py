"""HTTP with an end: one deadline for a whole exchange, a limit on the bytes of an answer, no proxy for this machine.

``httpx`` starts its timeouts again with every byte that comes, keeps an answer of any size, and asks 127.0.0.1 through
the proxy of the environment. All of our clients send through here; Rucio's, which is built on ``requests``, borrows
`Deadline` and `is_this_machine`.
"""

from __future__ import annotations

import contextlib
import ipaddress
import socket
import ssl
import threading
import time
import urllib.request
import zlib
from collections.abc import Iterator
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

import httpx

MAX_BYTES = 256 * 1024 * 1024  # of one answer, where no profile says otherwise
PIECE = 65536
CODINGS = "gzip, deflate"  # that are undone here, piece by piece: a small answer may not become a huge one
_ZLIB = {"gzip": 16 + zlib.MAX_WBITS, "x-gzip": 16 + zlib.MAX_WBITS, "deflate": zlib.MAX_WBITS}


class AnswerTooLarge(httpx.ReadError):
    """An answer has more bytes than we take; the request was received."""

    def __init__(self, max_bytes: int) -> None:
        super().__init__(f"the answer has more than {max_bytes} bytes (answer_max_bytes of the profile)")


class DeadlinePassed(httpx.ReadTimeout):
    """An exchange was not over in time, though bytes may still have come; the request may have been received."""

    def __init__(self, timeout_s: float) -> None:
        super().__init__(f"the answer was not complete after {timeout_s:g} s")


def is_this_machine(url: str) -> bool:
    """Whether the address is one of this machine, which no proxy can reach: 127.0.0.0/8, ::1, localhost."""
    host = (urlsplit(url).hostname or "").rstrip(".").lower()
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback


class Deadline:
    """A time after which the connections of an exchange are cut; entered before the first of them is made.

    Cutting a connection wakes whoever reads from it, be it in the middle of a header.
    """

    def __init__(self, timeout_s: float) -> None:
        self.timeout_s = timeout_s
        self.until = time.monotonic() + timeout_s
        self._sockets: list[socket.socket] = []
        self._lock = threading.Lock()
        self._timer = threading.Timer(timeout_s, self._cut)
        self._timer.daemon = True

    @property
    def passed(self) -> bool:
        """Whether the time is over."""
        return time.monotonic() >= self.until

    def watch(self, connection: socket.socket | None) -> None:
        """Cut this connection, too, when the time is over."""
        if connection is None:
            return
        with self._lock:
            self._sockets.append(connection)
        if self.passed:
            self._cut()

    def _cut(self) -> None:
        with self._lock:
            watched = list(self._sockets)
        for connection in watched:
            with contextlib.suppress(OSError, ValueError):  # it is closed already
                socket.socket.shutdown(connection, socket.SHUT_RDWR)

    def __enter__(self) -> Self:
        self._timer.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._timer.cancel()


def exchange(
    method: str,
    url: str,
    *,
    timeout_s: float,
    max_bytes: int = MAX_BYTES,
    verify: ssl.SSLContext | bool = True,
    **details: Any,
) -> httpx.Response:
    """One request and its whole answer.

    Parameters
    ----------
    method, url
        What is asked of whom.
    timeout_s
        Longest time from the beginning to the last byte [s].
    max_bytes
        Largest answer, also when it is unpacked.
    verify, details
        As ``httpx.Client`` and ``httpx.Client.request`` take them.

    Raises
    ------
    DeadlinePassed, AnswerTooLarge
        The answer is too slow, or too large.
    httpx.HTTPError
        As ``httpx`` raises it; a server behind a proxy of the environment is named with the proxy.
    """
    parts = {name: details.pop(name) for name in _PARTS if name in details}
    settings: dict[str, Any] = {
        "verify": verify if url.startswith("https:") else False,  # reading all authorities takes 20 ms
        "timeout": timeout_s,
        "trust_env": not is_this_machine(url),
    }
    with Deadline(timeout_s) as deadline, httpx.Client(**settings) as client:
        client.headers["Accept-Encoding"] = CODINGS
        request = client.build_request(method, url, **parts)
        request.extensions["trace"] = _watcher(deadline)
        try:
            response = client.send(request, stream=True, **details)
            with contextlib.closing(response):
                content = b"".join(_pieces(response, deadline, max_bytes))
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.ProxyError) as error:
            raise type(error)(f"{error}{_proxy_hint(url)}", request=request) from error
        except httpx.TransportError as error:
            if deadline.passed and not isinstance(error, AnswerTooLarge):
                raise DeadlinePassed(timeout_s) from error
            raise
    headers = [(name, value) for name, value in response.headers.multi_items() if name not in _OF_THE_BODY]
    return httpx.Response(response.status_code, headers=headers, content=content, request=request)


def _proxy_hint(url: str) -> str:
    """Which proxy of the environment stood in between; "" when none did."""
    place = urlsplit(url)
    found = urllib.request.getproxies()
    name = next((one for one in (place.scheme, "all") if one in found), "")
    if not name or is_this_machine(url) or urllib.request.proxy_bypass(place.hostname or ""):
        return ""
    return f" (asked through the proxy of {name}_proxy; hosts in no_proxy are asked without it)"


_OF_THE_BODY = frozenset({"content-encoding", "content-length", "transfer-encoding"})
_PARTS = ("headers", "params", "content", "data", "json", "files")  # of a request; the rest is for sending it


def _watcher(deadline: Deadline) -> Any:
    def trace(event: str, info: dict[str, Any]) -> None:
        if event.endswith(("connect_tcp.complete", "start_tls.complete")):  # TLS takes the first one over
            deadline.watch(info["return_value"].get_extra_info("socket"))

    return trace


def _pieces(response: httpx.Response, deadline: Deadline, max_bytes: int) -> Iterator[bytes]:
    """The body, unpacked; neither the packed nor the unpacked one is ever larger than the limit in memory."""
    if response.is_stream_consumed:  # a transport of tests has it whole
        if len(response.content) > max_bytes:
            raise AnswerTooLarge(max_bytes)
        yield response.content
        return
    coding = response.headers.get("content-encoding", "identity").strip().lower()
    if coding not in _ZLIB and coding != "identity":
        raise httpx.DecodingError(f"the answer is packed as {coding!r}, which was not asked for")
    unpack = zlib.decompressobj(_ZLIB[coding]) if coding in _ZLIB else None
    left = max_bytes
    for raw in response.iter_raw(PIECE):
        piece = raw if unpack is None else _unpacked(unpack, raw, left)
        left -= len(piece)
        if left < 0:
            raise AnswerTooLarge(max_bytes)
        if deadline.passed:
            raise DeadlinePassed(deadline.timeout_s)
        yield piece


def _unpacked(unpack: Any, raw: bytes, left: int) -> bytes:
    try:
        return unpack.decompress(raw, left + 1)
    except zlib.error as error:
        raise httpx.DecodingError(f"the answer cannot be unpacked: {error}") from error
