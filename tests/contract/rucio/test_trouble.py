"""Tokens that end, servers that go and come back, answers that never arrive."""

import io
import socket
import sys
import time

import httpx
import pytest

from prodsys.ddm.client import RucioClient
from prodsys.ddm.facts import FileFact
from prodsys.ddm.verbs import ensure_dataset_holds
from prodsys.errors import IdentityUnavailable, RucioRefused, RucioUnavailable
from tests.http_server import QuietHandler, serving
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


class Handler(QuietHandler):
    def answer(self, status, content_type, body):
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def test_a_page_of_a_proxy_is_no_answer_of_rucio():
    class Page(Handler):
        def do_GET(self):
            self.answer(200, "text/html", b"<html>please log in</html>")

    with serving(Page) as url, pytest.raises(RucioUnavailable):
        RucioClient(url, "production", lambda: "t", 0.5).whoami()


def test_an_overloaded_server_is_asked_again_until_it_answers():
    class Overloaded(Handler):
        asked = 0

        def do_GET(self):
            Overloaded.asked += 1
            if Overloaded.asked <= 5:
                self.answer(503, "text/plain", b"too busy")
            else:
                self.answer(200, "application/json", b'{"account": "production"}')

    journal = CallList()
    with serving(Overloaded) as url:
        assert RucioClient(url, "production", lambda: "t", 2, journal).whoami() == "production"
    assert journal.calls("unavailable")
    assert journal.lines[-1]["outcome"] == "ok"


def test_every_answer_to_a_change_is_lost_once_and_all_ends_well(rucio_server):
    """The server did it, the connection broke before we heard: doing it again changes nothing."""
    lost = set()

    class Lossy(Handler):
        def forward(self):
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            headers = {
                name: value for name, value in self.headers.items() if name.lower() not in ("host", "connection")
            }
            answer = httpx.request(
                self.command, rucio_server.url + self.path, content=body, headers=headers, timeout=60
            )
            what = (self.command, self.path)
            if self.command != "GET" and "/replicas/list" not in self.path and what not in lost:
                lost.add(what)
                self.close_connection = True  # not a byte of the answer
                return
            self.answer(answer.status_code, answer.headers.get("Content-Type", ""), answer.content)

        do_GET = do_POST = do_PUT = do_DELETE = forward

    did, step = rucio_server.did(), rucio_server.did("step")
    files = {f"{did.name}.{i:06d}.root": FileFact(10 + i, f"{i:x}") for i in range(1, 6)}
    with serving(Lossy) as url:
        client = rucio_server.client(url=url, timeout_s=10)
        ensure_dataset_holds(client, did, files, dict.fromkeys(files, "JINR_EOS"))
        client.ensure_container(step, [did])
        client.ensure_metadata(did, {"prod_seeds": "1-5"})
        rule_id = client.ensure_rule(did, 1, "JINR_EOS", None, "Production Output")
        client.detach_files(did, list(files)[:1])
    assert len(lost) >= 7
    direct = rucio_server.client()
    assert direct.list_files(did) == dict(list(files.items())[1:])
    assert direct.list_children(step) == (did,)
    assert list(direct._rules_of(did)) == [rule_id]


def test_a_server_that_goes_and_comes_back_costs_nothing(rucio_server):
    did = rucio_server.did()
    files = {f"{did.name}.{i:06d}.root": FileFact(10 + i, f"{i:x}") for i in range(1, 4)}
    client = rucio_server.client(timeout_s=1)
    client.ensure_dataset(did)
    rucio_server.server.stop()
    try:
        with pytest.raises(RucioUnavailable):
            ensure_dataset_holds(client, did, files, dict.fromkeys(files, "JINR_EOS"))
    finally:
        rucio_server.restart()
    ensure_dataset_holds(rucio_server.client(), did, files, dict.fromkeys(files, "JINR_EOS"))
    info = rucio_server.client().dataset_info(did)
    assert (info.length, info.open) == (3, False)
    assert client.dataset_info(did) == info  # the old client finds its way back too
