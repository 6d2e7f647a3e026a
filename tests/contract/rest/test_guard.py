"""Rights are those of policy.yaml; changes come from our own pages or with a token."""

from __future__ import annotations

import pytest

from prodsys.model.request import RequestSpec
from prodsys.web.api.command_registry import ACTS
from tests.contract.rest.conftest import API, BASE

BODIES = {
    "approve": {"digest": "sha256:" + "0" * 64},
    "priority": {"priority": 901},
    "abort": {"reason": "r"},
    "withdraw": {"reason": "r"},
    "accept": {"reason": "r"},
    "settle-again": {"reason": "r"},
    "answer": {"answer": "abort"},
    "decide": {"reason": "r"},
    "reject": {"reason": "r", "digest": "sha256:" + "0" * 64},
    "adopt": {"step": "SIM", "jedi_task_id": 7},
    "reuse": {"owner": "PROD2025-001", "kind": "compare", "reason": "r"},
}


def test_a_viewer_changes_nothing(manager, caller):
    spec = manager.ask("/requests/PROD2025-016")["spec"]
    lines = manager.ask("/audit")["total"]
    for entry in ACTS:
        path = (
            entry.route.replace("{request_id}", "PROD2025-016")
            .replace("{question_id}", "7")
            .replace("{finding_id}", "7")
        )
        body = spec if entry.body is RequestSpec else BODIES.get(entry.name, {})
        for dry_run in ("true", "false"):
            answer = caller("viewer").call(entry.method, path, json=body, params={"dry_run": dry_run})
            assert answer.status_code == 403, (entry.name, answer.text)
            assert answer.json()["type"] == "urn:prodsys:problem:not-allowed"
            assert "manager" in answer.json()["needs"]
    assert manager.ask("/audit")["total"] == lines


def test_a_submitter_plans_but_approves_nothing(manager, caller):
    submitter = caller("submitter")
    submitter.do("/requests/PROD2025-016/clone", {"request_id": "PROD2026-001", "seed_count": 3})
    digest = submitter.do("/requests/PROD2026-001/plan")["answer"]["digest"]
    assert submitter.post("/requests/PROD2026-001/approve", {"digest": digest}).status_code == 403
    assert manager.post("/requests/PROD2026-001/approve", {"digest": digest}).status_code == 200


def test_me_tells_name_roles_and_rights(caller):
    assert caller("submitter").ask("/me") == {
        "name": "submitter",
        "airflow_roles": ["Submitter"],
        "roles": ["submitter"],
        "rights": ["create", "plan"],
    }
    assert caller("viewer").ask("/me")["rights"] == []


def test_the_audit_log_is_for_those_whom_airflow_lets_read_it(manager, caller):
    assert manager.ask("/audit")["total"] > 0
    assert caller("viewer").get("/audit").status_code == 403
    assert caller("viewer").ask("/requests/PROD2025-016/history")["total"] == 1


CLONE = "/requests/PROD2025-016/clone"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Cookie": "_token=manager"}, 403),  # a browser sends an Origin with every change
        ({"Cookie": "_token=manager", "Origin": "https://evil.example.org"}, 403),
        ({"Cookie": "_token=manager", "Origin": "null"}, 403),
        ({"Cookie": "_token=manager", "Origin": BASE + ":8080"}, 403),
        ({"Cookie": "_token=manager", "Origin": "http://["}, 403),
        ({"Cookie": "_token=manager", "Origin": BASE}, 201),
        ({"Cookie": "_token=manager", "Origin": BASE + ":80"}, 201),
        ({"Authorization": "Bearer manager"}, 201),
        ({"Authorization": "Bearer manager", "Origin": BASE}, 201),
        ({"Authorization": "Bearer manager", "Origin": "https://evil.example.org"}, 403),
    ],
)
def test_changes_come_from_our_own_pages_or_with_a_token(manager, headers, status):
    answer = manager.client.post(API + CLONE, json={"request_id": "PROD2026-001"}, headers=headers)
    assert answer.status_code == status
    if status == 403:
        assert answer.json()["type"] == "urn:prodsys:problem:origin-refused"


def test_a_session_of_airflows_pages_may_look(manager):
    answer = manager.client.get(API + "/requests", headers={"Cookie": "_token=viewer"})
    assert answer.status_code == 200


@pytest.mark.parametrize("chunked", [False, True])
def test_a_huge_body_is_refused(manager, chunked):
    text = b'{"reason": "' + b"x" * 300_000 + b'"}'
    content = (part for part in (text[:200_000], text[200_000:])) if chunked else text
    answer = manager.call("POST", "/requests/PROD2025-016/pause", content=content)
    assert (answer.status_code, answer.json()["type"]) == (413, "urn:prodsys:problem:too-large")
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("text", ["[" * 100_000, '{"reason": ' + "9" * 5000 + "}", "{"])
def test_a_body_that_cannot_be_read_is_no_json(manager, text):
    headers = {"Content-Type": "application/json"}
    answer = manager.call("POST", "/requests/PROD2025-016/pause", content=text, headers=headers)
    assert (answer.status_code, answer.json()["type"]) == (400, "urn:prodsys:problem:no-json")


@pytest.mark.parametrize(
    ("method", "path", "status", "name"),
    [("GET", "/nowhere", 404, "path-unknown"), ("DELETE", "/requests", 405, "method-unknown")],
)
def test_what_is_no_route_is_a_problem_with_a_name(manager, method, path, status, name):
    answer = manager.call(method, path)
    assert (answer.status_code, answer.json()["type"]) == (status, f"urn:prodsys:problem:{name}")


def test_every_answer_is_data_for_this_person_and_never_a_page(manager):
    for path in ("/requests", "/requests/PROD2025-016", "/nothing", "/requests/NOPE"):
        headers = manager.get(path).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cache-control"] == "private, no-cache"
        assert "json" in headers["content-type"]
