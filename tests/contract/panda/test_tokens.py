"""Tokens, Origin and roles: who is let in, as whom, and what is said to the others. Recording: ``auth``."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest

from tests.contract.panda import recordings
from tests.contract.panda.skips import NO_SECOND_TOKEN
from tests.contract.panda.target import Server, bare_vo
from tests.contract.panda.targets import Target, TargetUnusable, live_target
from tests.contract.panda.translation import Translation
from tests.http_server import serving

REFUSALS = {
    "expired": "Invalid token. Signature has expired",
    "garbage": "Invalid token. Invalid header string: ",
    "segments": "Invalid token. Not enough segments",
    "wrong audience": "Invalid token. cannot extract client_id from token",
    "not in group": "Not a member of the {vo}/production group",
}
GARBAGE = {"garbage": "abc.def.ghi", "segments": "nonsense"}


@pytest.mark.parametrize("kind", REFUSALS)
@pytest.mark.parametrize(
    ("method", "path"), [("GET", "task/get_status"), ("GET", "system/is_alive"), ("POST", "task/kill")]
)
def test_a_bad_token_is_refused_everywhere(target: Target, kind: str, method: str, path: str) -> None:
    token = GARBAGE.get(kind) or target.token(kind)
    reply = target.server.call(method, f"/api/v1/{path}", token=token)
    assert reply.status_code == 403
    assert reply.headers["content-type"] == "text/plain"
    said = REFUSALS[kind].format(vo=target.server.vo)
    assert reply.text.startswith(f"ERROR : Token authentication failed. {said}")


def test_without_a_token_the_server_is_alive(server: Server) -> None:
    reply = server.call("GET", "/api/v1/system/is_alive", token=None)
    assert reply.json() == {"success": True, "message": "", "data": None}


@pytest.mark.parametrize(
    ("origin", "text"),
    [
        (None, "Token decode failure. 'NoneType' object has no attribute 'replace'"),
        ("noexp", "Unknown vo : noexp"),
    ],
)
def test_an_origin_is_demanded(server: Server, origin: str | None, text: str) -> None:
    reply = server.call("GET", "/api/v1/task/get_status", {"task_id": 1}, origin=origin)
    assert (reply.status_code, reply.headers["content-type"]) == (403, "text/plain")
    assert reply.text.startswith(f"ERROR : Token authentication failed. {text}")


@pytest.mark.parametrize("sign", [":", "."])
def test_both_spellings_of_the_role_are_the_same(server: Server, sign: str) -> None:
    origin = f"{bare_vo(server.origin)}{sign}production"
    reply = server.call("GET", "/api/v1/system/get_user_attributes", origin=origin).json()
    assert reply["data"]["is_production_user"] is True
    assert reply["data"]["user_dn_clean"] == server.user


@pytest.mark.parametrize("role", ["production", "none"])
def test_who_one_is_taken_for(target: Target, role: str) -> None:
    server = target.server if role == "production" else target.without_role()
    name = {"production": "prodmgr", "none": "user1"}[role]
    recorded = next(
        call["response_body"]
        for call in recordings.calls("auth")
        if call["path"].endswith("get_user_attributes") and name in call["response_body"]["message"]
    )
    got = server.call("GET", "/api/v1/system/get_user_attributes").json()
    words = Translation(site=server.site, user="", vo=server.vo, users={name: server.user})
    text = str(words.back(_without_dn(got))).replace(f"/{server.vo}/", "/spd/")
    assert text == str(_without_dn(recorded))


def _without_dn(reply: dict[str, Any]) -> dict[str, Any]:
    """The reply without the user's DN, which is the issuer's: another name, with a nickname or without."""
    dn = reply["data"]["user_dn_raw"]
    assert isinstance(dn, str)
    assert f"User DN (raw): {dn}\n" in reply["message"]
    lines = [line for line in reply["message"].splitlines() if not line.startswith(("User DN (raw)", "User DN (bare)"))]
    return {**reply, "message": lines, "data": {**reply["data"], "user_dn_raw": "<the issuer's>"}}


def test_a_token_is_accepted_for_a_while_after_its_end(target: Target) -> None:
    token = target.own_sandbox().issuer.token(exp=int(time.time()) + 2)
    deadline = time.monotonic() + 4
    while time.monotonic() < deadline:
        reply = target.server.call("GET", "/api/v1/system/is_alive", token=token)
        assert reply.status_code == 200
        time.sleep(0.5)


def test_a_client_that_accepts_no_json_gets_pythons_repr(server: Server) -> None:
    headers = {"Authorization": f"Bearer {server.token}", "Origin": server.origin}
    reply = server.http.get("/api/v1/system/is_alive", headers=headers)
    assert reply.text == "{'success': True, 'message': '', 'data': None}"


def test_a_token_shows_nowhere(target: Target) -> None:
    token = target.server.token
    shown = [repr(target), repr(target.server), repr(target.server.another()), repr(target.tokens), str(target.tokens)]
    assert all(token not in text for text in shown)


@pytest.mark.parametrize(
    ("kind", "origin", "said"),
    [
        ("expired", "spd:production", "the server refuses PANDA_TOKEN with PANDA_VO=spd:production: 403 "),
        ("not in group", "spd.production", "the server refuses PANDA_TOKEN with PANDA_VO=spd.production: 403 "),
        ("no role", "spd", "PANDA_TOKEN with PANDA_VO=spd has no production role: the VO must name the role"),
    ],
)
def test_a_token_of_no_use_ends_the_suite_at_once(target: Target, kind: str, origin: str, said: str) -> None:
    target.own_sandbox()
    given = {"PANDA_URL": f"{target.server.url}/api/v1/", "PANDA_VO": origin, "PANDA_TOKEN": f"{target.token(kind)}\n"}
    with pytest.raises(TargetUnusable) as caught:
        live_target(given)
    assert str(caught.value).startswith(said)
    assert target.token(kind) not in str(caught.value)


def test_a_good_token_with_a_newline_is_taken(target: Target) -> None:
    given = {"PANDA_URL": target.server.url, "PANDA_VO": "spd:production"}
    found = live_target({**given, "PANDA_TOKEN": f"{target.own_sandbox().issuer.token()}\n"})
    assert found.live
    assert found.server.origin == "spd:production"
    with pytest.raises(pytest.skip.Exception, match=NO_SECOND_TOKEN):
        found.without_role()


def test_a_silent_address_and_another_server_end_the_suite_at_once() -> None:
    given = {"PANDA_URL": "http://127.0.0.1:9", "PANDA_TOKEN": "x"}
    with pytest.raises(TargetUnusable, match="does not answer"):
        live_target(given)
    with other_server() as url, pytest.raises(TargetUnusable, match="does not speak the REST API"):
        live_target({**given, "PANDA_URL": url})
    with pytest.raises(TargetUnusable, match="PANDA_TOKEN is not set"):
        live_target({**given, "PANDA_TOKEN": " \n"})


@contextlib.contextmanager
def other_server() -> Iterator[str]:
    """Yield the address of a web server that knows nothing of PanDA."""
    with serving(BaseHTTPRequestHandler) as url:
        yield url
