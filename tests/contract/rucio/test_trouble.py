"""Tokens that end, servers that go and come back, answers that never arrive."""

import http.server
import io
import socket
import sys
import threading
import time

import pytest

from prodsys.ddm.client import RucioClient
from prodsys.ddm.facts import FileFact
from prodsys.ddm.verbs import ensure_dataset_complete
from prodsys.errors import IdentityUnavailable, RucioRefused, RucioUnavailable
from tests.rucio_fixture import CallList


class KeptToken:
    """A provider that keeps its token until told that it was turned away."""

    def __init__(self, server, lifetime_s):
        self._server, self._lifetime_s = server, lifetime_s
        self.asked = 0
        self._token = ""

    def __call__(self):
        if not self._token:
            self.asked += 1
            self._token = self._server.token(self._lifetime_s)
        return self._token

    def forget(self):
        self._token = ""


def test_a_token_that_ends_in_mid_life_is_replaced_and_nobody_is_asked(rucio_server, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.StringIO(""))
    provider = KeptToken(rucio_server, lifetime_s=2)
    client = rucio_server.client(provider)
    did = rucio_server.did()
    client.ensure_dataset(did)
    until = time.monotonic() + 2.5
    while time.monotonic() < until:
        assert client.dataset_info(did).length == 0
    assert provider.asked >= 2


def test_a_token_that_rucio_does_not_believe_is_refused_at_once(rucio_server):
    for token in ("nonsense", rucio_server.token(subject="stranger"), rucio_server.token(audience="panda")):
        with pytest.raises(RucioRefused, match="the token was refused"):
            rucio_server.client(lambda given=token: given).whoami()


def test_an_issuer_that_is_away_is_named_not_rucio(rucio_server):
    def provider():
        raise IdentityUnavailable("no answer")

    journal = CallList()
    with pytest.raises(IdentityUnavailable):
        rucio_server.client(provider, journal).whoami()
    assert journal.calls("unavailable") == ["whoami"]


def test_nothing_is_written_to_disk_and_no_configuration_is_read(rucio_server, tmp_path, monkeypatch):
    for name in ("HOME", "TMPDIR", "XDG_RUNTIME_DIR"):
        monkeypatch.setenv(name, str(tmp_path))
    monkeypatch.setenv("RUCIO_CONFIG", str(tmp_path / "none.cfg"))
    argv = list(sys.argv)
    assert rucio_server.client().whoami() == "production"
    assert list(tmp_path.iterdir()) == []
    assert sys.argv == argv


def test_nobody_listening_is_unavailable(rucio_server):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{probe.getsockname()[1]}"
    with pytest.raises(RucioUnavailable):
        rucio_server.client(url=address, timeout_s=1).whoami()


def test_a_server_that_never_answers_is_unavailable_after_its_time():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        client = RucioClient(f"http://127.0.0.1:{silent.getsockname()[1]}", "production", lambda: "t", 0.2)
        started = time.monotonic()
        with pytest.raises(RucioUnavailable, match="Timeout"):
            client.whoami()
        assert time.monotonic() - started < 5


def test_a_page_of_a_proxy_is_no_answer_of_rucio():
    class Page(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(b"<html>please log in</html>")

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        client = RucioClient(f"http://127.0.0.1:{server.server_port}", "production", lambda: "t", 0.5)
        with pytest.raises(RucioUnavailable):
            client.whoami()
        server.shutdown()


def test_a_server_that_goes_and_comes_back_costs_nothing(rucio_server):
    did = rucio_server.did()
    files = {f"{did.name}.{i:06d}.root": FileFact(10 + i, f"{i:x}") for i in range(1, 4)}
    client = rucio_server.client(timeout_s=1)
    client.ensure_dataset(did)
    rucio_server.server.stop()
    try:
        with pytest.raises(RucioUnavailable):
            ensure_dataset_complete(client, did, files, dict.fromkeys(files, "JINR_EOS"), close=True)
    finally:
        rucio_server.restart()
    info = ensure_dataset_complete(rucio_server.client(), did, files, dict.fromkeys(files, "JINR_EOS"), close=True)
    assert (info.length, info.open) == (3, False)
    assert client.dataset_info(did) == info  # the old client finds its way back too
