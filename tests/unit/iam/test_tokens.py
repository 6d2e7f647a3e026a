"""Tokens are kept until shortly before their end; the issuer is the wire, replaced."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import httpx
import pytest

from prodsys.errors import IdentityUnavailable
from prodsys.iam.tokens import ClientCredentials

ISSUER = "https://iam.example"


@dataclass
class Issuer:
    """What answers at the other end of the wire."""

    lifetime_s: object = 3600
    asked: list[httpx.Request] = field(default_factory=list)
    status: int = 200
    body: object = None
    document: dict[str, str] = field(default_factory=lambda: {"token_endpoint": f"{ISSUER}/token"})
    lock: threading.Lock = field(default_factory=threading.Lock)

    def handle(self, request: httpx.Request) -> httpx.Response:
        with self.lock:
            self.asked.append(request)
            number = sum(one.url.path == "/token" for one in self.asked)
        if request.url.path != "/token":
            return httpx.Response(200, json=self.document)
        if self.body is not None:
            return httpx.Response(self.status, text=str(self.body))
        return httpx.Response(self.status, json={"access_token": f"t{number}", "expires_in": self.lifetime_s})


@pytest.fixture
def issuer(monkeypatch: pytest.MonkeyPatch) -> Iterator[Issuer]:
    issuer = Issuer()
    monkeypatch.setattr(httpx.HTTPTransport, "handle_request", lambda _, request: issuer.handle(request))
    return issuer


def _robot(**changed: float | str) -> ClientCredentials:
    return ClientCredentials(
        f"{ISSUER}/", "production", "s3cret", **({"audience": "panda", "timeout_s": 5, "margin_s": 60} | changed)
    )


def test_one_token_serves_many_calls_and_the_document_is_read_once(issuer: Issuer):
    robot = _robot(scope="openid wlcg")
    assert {robot.token() for _ in range(5)} == {"t1"}
    assert [request.url.path for request in issuer.asked] == ["/.well-known/openid-configuration", "/token"]
    form = httpx.QueryParams(issuer.asked[1].content.decode())
    assert dict(form) == {"grant_type": "client_credentials", "audience": "panda", "scope": "openid wlcg"}
    assert issuer.asked[1].headers["authorization"].startswith("Basic ")
    robot.forget()
    assert robot() == "t2"
    assert len(issuer.asked) == 3


def test_a_token_near_its_end_is_renewed(issuer: Issuer, monkeypatch: pytest.MonkeyPatch):
    now = [1000.0]
    monkeypatch.setattr("prodsys.iam.tokens.time.monotonic", lambda: now[0])
    robot = _robot()
    robot.token()
    now[0] += 3539
    assert robot.token() == "t1"
    now[0] += 2
    assert robot.token() == "t2"


def test_a_margin_longer_than_a_life_does_not_ask_at_every_call(issuer: Issuer):
    issuer.lifetime_s = 30
    robot = _robot(margin_s=300)
    assert {robot.token(), robot.token()} == {"t1"}


@pytest.mark.parametrize("lifetime", [None, "soon", -1, 0])
def test_a_life_that_is_not_told_is_short(issuer: Issuer, lifetime: object):
    issuer.lifetime_s = lifetime
    assert _robot().token() == "t1"


def test_threads_share_one_token(issuer: Issuer):
    robot = _robot()
    with ThreadPoolExecutor(8) as threads:
        assert set(threads.map(lambda _: robot.token(), range(32))) == {"t1"}


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (401, '{"error": "invalid_client", "echo": "s3cret"}', "invalid_client"),
        (503, "busy", "503"),
        (200, "<html>", "JSON"),
        (200, "{}", "without a token"),
        (200, "[]", "gave nothing"),
    ],
)
def test_a_refusal_says_who_and_where_and_shows_no_secret(issuer: Issuer, status: int, body: str, words: str):
    issuer.status, issuer.body = status, body
    with pytest.raises(IdentityUnavailable, match=words) as caught:
        _robot().token()
    assert "s3cret" not in str(caught.value)
    assert f"{ISSUER}/token" in str(caught.value)


def test_an_address_that_is_no_issuer(issuer: Issuer):
    issuer.document = {}
    with pytest.raises(IdentityUnavailable, match="PRODSYS_IAM_ISSUER"):
        _robot().token()


def test_an_issuer_that_is_away(monkeypatch: pytest.MonkeyPatch):
    def away(*_: object, **__: object) -> httpx.Response:
        raise httpx.ConnectError("refused")

    monkeypatch.setattr(httpx.HTTPTransport, "handle_request", away)
    with pytest.raises(IdentityUnavailable, match=r"iam\.example"):
        _robot().token()
