"""Whole exchanges with small real servers on 127.0.0.1: slow, endless, packed, and a proxy that nobody should ask."""

from __future__ import annotations

import gzip
import socket
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import httpx
import pytest

from prodsys.ddm.client import RucioClient
from prodsys.errors import AirflowUnavailable, IdentityUnavailable, PandaUnavailable, RucioError, RucioUnavailable
from prodsys.iam.tokens import ClientCredentials
from prodsys.model.names import Did
from prodsys.orchestrator.client import AirflowClient
from prodsys.panda.client import PandaClient
from prodsys.transport import AnswerTooLarge, DeadlinePassed, exchange, is_this_machine

PROXY = "http://127.0.0.1:1"
VARIABLES = ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY")
DEADLINE_S = 0.6
Talk = Callable[[socket.socket, threading.Event], None]


@contextmanager
def server(talk: Talk) -> Iterator[str]:
    """Yield the address of a server that says this to everybody, whatever was asked."""
    listener, stopped = socket.create_server(("127.0.0.1", 0)), threading.Event()

    def serve() -> None:
        while not stopped.is_set():
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=answer, args=(connection,), daemon=True).start()

    def answer(connection: socket.socket) -> None:
        with connection:
            try:
                connection.recv(65536)
                talk(connection, stopped)
            except OSError:
                pass

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        stopped.set()
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()


def drip_headers(connection: socket.socket, stopped: threading.Event) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nX-Long: ")
    while not stopped.wait(0.05):
        connection.sendall(b"a")


def drip_body(connection: socket.socket, stopped: threading.Event) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/x-json-stream\r\n\r\n")
    while not stopped.wait(0.05):
        connection.sendall(b'{"name": "f", "bytes": 1, "adler32": "1"}\n')


def silence(connection: socket.socket, stopped: threading.Event) -> None:
    stopped.wait(30)


def endless(connection: socket.socket, stopped: threading.Event) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/x-json-stream\r\n\r\n")
    while not stopped.is_set():
        connection.sendall(b" " * 65536)


def whole(body: bytes, *headers: str) -> Talk:
    def talk(connection: socket.socket, _: threading.Event) -> None:
        lines = ["HTTP/1.1 200 OK", f"Content-Length: {len(body)}", "Connection: close", *headers, "", ""]
        connection.sendall("\r\n".join(lines).encode() + body)

    return talk


BOMB = gzip.compress(b"\0" * 64_000_000)
PANDA_REPLY = b'{"success": true, "message": "", "data": []}'


def panda(url: str, **limits: int) -> object:
    return PandaClient(url, "spd.production", lambda: "of-tests", DEADLINE_S, None, **limits).is_alive()


def airflow(url: str, **limits: int) -> object:
    return AirflowClient(url, "u", "p", DEADLINE_S, **limits).import_errors()


def identity(url: str, **_: int) -> object:
    return ClientCredentials(url, "u", "s", timeout_s=DEADLINE_S, margin_s=1).token()


def rucio(url: str, *, stream_max_s: float = DEADLINE_S, **limits: int) -> object:
    client = RucioClient(url, "a", lambda: "of-tests", 5, None, stream_max_s=stream_max_s, **limits)
    return client.list_files(Did("s", "n"))


def patient_rucio(url: str, **limits: int) -> object:
    return rucio(url, stream_max_s=30, **limits)


CLIENTS = [
    (panda, PandaUnavailable),
    (airflow, AirflowUnavailable),
    (identity, IdentityUnavailable),
    (rucio, RucioUnavailable),
]


@pytest.mark.parametrize("talk", [drip_headers, drip_body, silence])
@pytest.mark.parametrize(("call", "error"), CLIENTS)
def test_every_client_ends_a_call_at_its_deadline(call, error, talk: Talk) -> None:
    began = time.monotonic()
    with server(talk) as url, pytest.raises(error):
        call(url)
    assert time.monotonic() - began < DEADLINE_S + 5, "the servers would go on for ever"


@pytest.mark.parametrize(("call", "error"), [*CLIENTS[:2], (patient_rucio, RucioError)])
def test_every_client_takes_no_endless_answer(call, error) -> None:
    with server(endless) as url, pytest.raises(error, match="more than 1000000 bytes"):
        call(url, max_bytes=1_000_000)


@pytest.mark.parametrize(("call", "error"), [*CLIENTS[:2], (patient_rucio, RucioError)])
def test_every_client_takes_no_packed_answer_that_would_be_huge(call, error) -> None:
    talk = whole(BOMB, "Content-Encoding: gzip", "Content-Type: application/x-json-stream")
    with server(talk) as url, pytest.raises(error, match="more than 1000000 bytes"):
        call(url, max_bytes=1_000_000)


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
def test_a_packed_answer_is_unpacked(coding: str) -> None:
    body = gzip.compress(b'{"a": 1}') if coding == "gzip" else zlib.compress(b'{"a": 1}')
    with server(whole(body, f"Content-Encoding: {coding}")) as url:
        assert exchange("GET", url, timeout_s=5).json() == {"a": 1}


def test_what_is_no_gzip_is_an_error_of_the_wire() -> None:
    with server(whole(b"no gzip", "Content-Encoding: gzip")) as url, pytest.raises(httpx.HTTPError):
        exchange("GET", url, timeout_s=5)


def test_the_errors_say_what_was_too_much() -> None:
    with server(drip_body) as url, pytest.raises(DeadlinePassed, match=r"not complete after 0\.3 s"):
        exchange("GET", url, timeout_s=0.3)
    with server(endless) as url, pytest.raises(AnswerTooLarge, match="more than 7 bytes"):
        exchange("GET", url, timeout_s=5, max_bytes=7)


@pytest.mark.parametrize("variable", VARIABLES)
def test_no_client_asks_this_machine_through_a_proxy(monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    for name in (*VARIABLES, "no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(variable, PROXY)
    line = b'{"name": "f", "bytes": 1, "adler32": "00000001"}\n'
    with server(whole(PANDA_REPLY, "Content-Type: application/json")) as url:
        assert exchange("GET", url, timeout_s=5).json()["success"]
        assert panda(url) is None
    with server(whole(line, "Content-Type: application/x-json-stream")) as url:
        assert list(patient_rucio(url)) == ["f"]  # type: ignore[call-overload]


@pytest.mark.parametrize("variable", ["http_proxy", "all_proxy"])
def test_others_are_asked_through_the_proxy_and_an_error_names_it(monkeypatch, variable: str) -> None:
    for name in (*VARIABLES, "no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(variable, PROXY)
    with pytest.raises(httpx.HTTPError, match=f"through the proxy of {variable}; hosts in no_proxy"):
        exchange("GET", "http://panda.example/", timeout_s=5)


@pytest.mark.parametrize(
    ("url", "ours"),
    [
        ("http://127.0.0.1:8080/x", True),
        ("http://127.8.9.1", True),
        ("https://[::1]:1/", True),
        ("http://[::ffff:127.0.0.1]/", True),
        ("http://LOCALHOST:5", True),
        ("http://localhost./", True),
        ("http://panda.localhost", True),
        ("http://user:word@127.0.0.1:1/", True),
        ("http://127.0.0.1.example", False),
        ("http://localhost.example", False),
        ("http://10.0.0.1", False),
        ("http://128.0.0.1", False),
        ("https://panda.example:25443", False),
        ("", False),
    ],
)
def test_addresses_of_this_machine(url: str, ours: bool) -> None:
    assert is_this_machine(url) is ours
