"""Single calls with nothing behind them: unknown ids, wrong verbs, bad arguments, tokens; replies text by text."""

from __future__ import annotations

import time
from typing import Any

import pytest

from tests.contract.panda import recordings
from tests.contract.panda.conftest import TARGETS
from tests.contract.panda.outcome import shape_differences
from tests.contract.panda.sandbox_target import Sandbox
from tests.contract.panda.skips import NO_SECOND_TOKEN, skip
from tests.contract.panda.target import Server

BY_SHAPE = ("get_description", "statistics/", "auth_config", "metaconfig/")
"""Endpoints whose data are the server's own: keys and types are compared, not values."""


def _label(index: int, call: dict[str, Any]) -> str:
    query = ",".join(f"{key}={'+'.join(map(str, values))}" for key, values in call["query"].items())
    return f"{index}-{call['method']}-{call['path'].replace('/api/v1/', '')}-{query}"[:90]


PROBES = list(enumerate(recordings.calls("unknown_ids")))


@pytest.mark.parametrize("probe", [one for _, one in PROBES], ids=[_label(*pair) for pair in PROBES])
def test_a_call_is_answered_as_recorded(server: Server, probe: dict[str, Any]) -> None:
    body, kind = probe["request_body"], probe["request_headers"]["Content-Type"]
    if body is None and probe["method"] == "POST":
        body = ""
    reply = server.call(probe["method"], probe["path"], probe["query"] or None, body, content_type=kind)
    assert reply.status_code == probe["status"]
    assert reply.headers["content-type"] == probe["response_content_type"]
    expected = probe["response_body"]
    got = reply.json() if isinstance(expected, dict) else reply.text
    existing = "1" in probe["query"].get("job_ids", [])
    if (existing or any(part in probe["path"] for part in BY_SHAPE)) and isinstance(expected, dict):
        assert not shape_differences(_without_jobs(expected), _without_jobs(got))
    else:
        assert got == expected


def _without_jobs(body: dict[str, Any]) -> dict[str, Any]:
    """Replies on jobs that may or may not exist: only the envelope."""
    return {**body, "data": None} if isinstance(body.get("data"), list) else body


REFUSALS = {
    "expired": "Invalid token. Signature has expired",
    "garbage": "Invalid token. Invalid header string: ",
    "segments": "Invalid token. Not enough segments",
    "audience": "Invalid token. cannot extract client_id from token",
    "group": "Not a member of the spd/production group",
}


def _bad_token(kind: str, request: pytest.FixtureRequest) -> str:
    if kind == "garbage":
        return "tzzz.tzzz.tzzz"
    if kind == "segments":
        return "nonsense"
    if "live" in TARGETS:
        skip(NO_SECOND_TOKEN)
    sandbox: Sandbox = request.getfixturevalue("sandbox")
    if kind == "expired":
        return sandbox.issuer.token(exp=int(time.time()) - 60)
    if kind == "audience":
        return sandbox.issuer.token(aud="https://wlcg.cern.ch/jwt/v1/any")
    return sandbox.issuer.token(production=False)


@pytest.mark.parametrize("kind", REFUSALS)
@pytest.mark.parametrize(
    ("method", "path"), [("GET", "task/get_status"), ("GET", "system/is_alive"), ("POST", "task/kill")]
)
def test_a_bad_token_is_refused_everywhere(
    server: Server, request: pytest.FixtureRequest, kind: str, method: str, path: str
) -> None:
    reply = server.call(method, f"/api/v1/{path}", token=_bad_token(kind, request))
    assert reply.status_code == 403
    assert reply.headers["content-type"] == "text/plain"
    assert reply.text.startswith(f"ERROR : Token authentication failed. {REFUSALS[kind]}")


@pytest.mark.parametrize(
    "path",
    [
        "task/get_status", "task/get_details", "task/get_detailed_info", "task/get_task_parameters", "task/get_job_ids",
        "task/get_datasets_and_files", "task/get_job_descriptions", "job/get_status",
        "task/get_tasks_modified_since", "task/get_tasks_detailed_info_since",
    ],
)  # fmt: skip
def test_without_a_token_nothing_is_told(server: Server, path: str) -> None:
    reply = server.call("GET", f"/api/v1/{path}", {"task_id": 1}, token=None)
    expected = {"success": False, "message": "SSL secure connection is required", "data": None}
    assert (reply.status_code, reply.json()) == (200, expected)


def test_without_a_token_the_server_is_alive(server: Server) -> None:
    reply = server.call("GET", "/api/v1/system/is_alive", token=None)
    assert reply.json() == {"success": True, "message": "", "data": None}


@pytest.mark.parametrize(
    ("origin", "text"),
    [
        (
            None,
            "ERROR : Token authentication failed. Token decode failure. 'NoneType' object has no attribute 'replace'",
        ),
        ("noexp", "ERROR : Token authentication failed. Unknown vo : noexp"),
    ],
)
def test_an_origin_is_demanded(server: Server, origin: str | None, text: str) -> None:
    reply = server.call("GET", "/api/v1/task/get_status", {"task_id": 1}, origin=origin)
    assert reply.status_code == 403
    assert reply.text.startswith(text)


NEEDS_ROLE = {
    "pause": {}, "resume": {}, "release": {}, "avalanche": {}, "reactivate": {}, "increase_attempts": {"increase": 1},
    "change_priority": {"priority": 1}, "change_attribute": {"attribute_name": "ramCount", "value": 1},
    "change_split_rule": {"attribute_name": "TW", "value": "1"},
}  # fmt: skip


@pytest.mark.parametrize("method", NEEDS_ROLE)
def test_without_the_role_production_calls_are_refused(
    server: Server, request: pytest.FixtureRequest, method: str
) -> None:
    token, vo = _bad_token("group", request), server.origin.rsplit(".", 1)[0]
    reply = server.call(
        "POST", f"/api/v1/task/{method}", body={"task_id": 1, **NEEDS_ROLE[method]}, token=token, origin=vo
    )
    assert reply.json() == {"success": False, "message": "production or pilot role required", "data": None}


def test_who_one_is_taken_for(server: Server, request: pytest.FixtureRequest) -> None:
    if "live" in TARGETS:
        skip(NO_SECOND_TOKEN)
    sandbox: Sandbox = request.getfixturevalue("sandbox")
    recorded = [call for call in recordings.calls("auth") if call["path"].endswith("get_user_attributes")]
    user = sandbox.issuer.token("user1", production=False)
    for call, given in zip(recorded, [(user, "spd"), ("", "")], strict=True):
        got = server.call("GET", "/api/v1/system/get_user_attributes", token=given[0], origin=given[1]).json()
        assert got == call["response_body"]


def test_a_token_is_accepted_for_a_while_after_its_end(server: Server, request: pytest.FixtureRequest) -> None:
    if "live" in TARGETS:
        skip(NO_SECOND_TOKEN)
    sandbox: Sandbox = request.getfixturevalue("sandbox")
    token = sandbox.issuer.token(exp=int(time.time()) + 2)
    deadline = time.monotonic() + 4
    while time.monotonic() < deadline:
        reply = server.call("GET", "/api/v1/system/is_alive", token=token)
        assert reply.status_code == 200
        time.sleep(0.5)


def test_a_client_that_accepts_no_json_gets_pythons_repr(server: Server) -> None:
    headers = {"Authorization": f"Bearer {server.token}", "Origin": server.origin}
    reply = server.http.get("/api/v1/system/is_alive", headers=headers)
    assert reply.text == "{'success': True, 'message': '', 'data': None}"
