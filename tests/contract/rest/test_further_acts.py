"""Acts that follow from others: check, extend, trial; questions and their answers; starting again."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from prodsys.ledger.requests import list_steps
from prodsys.ledger.session import transaction
from prodsys.ledger.tables import QuestionRow, RequestRow
from tests.contract.rest.conftest import API

SOURCE = "/requests/PROD2025-016"
HERE = "/requests/PROD2026-001"
REQUEST = "DEMO2025-016"


@pytest.fixture
def draft(manager):
    manager.do(f"{SOURCE}/clone", {"request_id": "PROD2026-001", "seed_count": 3, "events_per_file": 20})
    return manager


@pytest.fixture
def question(at_airflow, approved) -> int:
    """The number of an open question about the SIM step of a running request."""
    with transaction(approved.sessions) as session:
        session.get(RequestRow, REQUEST).state = "running"
        step = list_steps(session, REQUEST)[0]
        row = QuestionRow(
            step_id=step.step_id,
            body="**SIM**: 2 of 3 <script>alert(1)</script>",
            options=["accept", "abort", "stop as failed"],
            default="stop as failed",
            due_at=datetime.now(UTC) + timedelta(hours=24),
            reason="",
        )
        session.add(row)
        session.flush()
        return row.question_id


def test_a_checked_request_tells_what_was_found(draft):
    answer = draft.do(f"{HERE}/check")
    assert answer["state"] == "checked"
    assert all(not one["fault"] for one in answer["answer"]["findings"])
    assert draft.ask(HERE)["state"] == "checked"


def test_an_extension_has_the_next_seeds(draft):
    answer = draft.post(f"{HERE}/extend", {"request_id": "PROD2026-002", "seed_count": 2})
    assert (answer.status_code, answer.headers["location"]) == (201, f"{API}/requests/PROD2026-002")
    assert {one["field"] for one in answer.json()["answer"]["changes"]} >= {"seeds", "events"}
    assert [one["request_id"] for one in draft.ask("/requests", related_to="PROD2026-001")["items"]] == ["PROD2026-002"]


def test_a_trial_is_made_and_planned(manager):
    answer = manager.do(f"{SOURCE}/trial", {"request_id": "TEST2026-001", "seed_count": 2})
    assert (answer["request_id"], answer["state"]) == ("TEST2026-001", "planned")
    assert answer["answer"]["plan"]["digest"].startswith("sha256:")
    assert manager.ask("/requests/TEST2026-001")["trial_of"] == "PROD2025-016"


def test_an_open_question_is_listed_and_changes_the_picture(at_airflow, question):
    (found,) = at_airflow.ask("/questions", waiting="true")["items"]
    assert (found["question_id"], found["request_id"], found["step"]) == (question, REQUEST, "SIM")
    assert "<script>" in found["body"]  # data: whoever shows it escapes it
    assert at_airflow.ask(f"/requests/{REQUEST}")["open_questions"] == [question]
    assert at_airflow.ask(f"/questions/{question}") == found
    assert at_airflow.ask("/questions", waiting="false")["items"] == []


def test_a_question_is_answered_once(at_airflow, question):
    path = f"/questions/{question}/answer"
    tag = at_airflow.get(f"/requests/{REQUEST}").headers["etag"]
    assert at_airflow.post(path, {"answer": "accept"}).status_code == 409  # without a reason
    assert at_airflow.post(path, {"answer": "perhaps"}).status_code == 422
    assert at_airflow.post(path, {"answer": "recover again"}).status_code == 409  # no option of this question
    body = {"answer": "accept", "reason": "good enough for the pilot"}
    assert at_airflow.do(f"{path}?dry_run=true", body)["answer"]["answered_by"] == "manager"
    assert at_airflow.ask("/questions", waiting="true")["total"] == 1
    first = at_airflow.do(path, body)
    assert (first["request_id"], first["answer"]["answer"], at_airflow.do(path, body)) == (REQUEST, "accept", first)
    other = at_airflow.post(path, {"answer": "abort", "reason": "no"})
    assert (other.status_code, other.json()["type"]) == (409, "urn:prodsys:problem:answer-refused")
    assert at_airflow.get(f"/requests/{REQUEST}").headers["etag"] != tag
    assert at_airflow.ask(f"/questions/{question}")["reason"] == "good enough for the pilot"


def test_an_answer_to_nothing_is_404(manager):
    assert manager.post("/questions/4711/answer", {"answer": "abort"}).status_code == 404


@pytest.mark.parametrize(
    ("act", "body"),
    [
        ("retry", {}),
        ("recover", {}),
        ("accept", {"reason": "r"}),
        ("settle-again", {"reason": "r"}),
        ("adopt", {"step": "SIM", "jedi_task_id": 7}),
    ],
)
def test_a_draft_cannot_be_started_again(draft, act, body):
    answer = draft.post(f"{HERE}/{act}", body, headers={"If-Match": "*"})
    assert answer.status_code == 409, answer.text
    assert draft.ask(HERE)["state"] == "draft"


def test_a_failed_request_is_retried(at_airflow, approved, airflow):
    with transaction(approved.sessions) as session:
        session.get(RequestRow, REQUEST).state = "failed"
    answer = at_airflow.do(f"/requests/{REQUEST}/retry", {"wait": True})
    assert answer["answer"]["launch"]["dag_run_id"] == f"{REQUEST}-r1.2"
    assert airflow.started == [f"{REQUEST}-r1.2"]


def test_steps_are_told_with_the_account_of_their_seeds(at_airflow):
    steps = at_airflow.ask(f"/requests/{REQUEST}/steps")["items"]
    assert [(one["step"], one["asked"], one["verdict"]) for one in steps] == [("SIM", 0, None), ("RECO", 0, None)]


def test_a_rejected_plan_is_planned_again(draft):
    digest = draft.do(f"{HERE}/plan")["answer"]["digest"]
    answer = draft.do(f"{HERE}/reject", {"digest": digest, "reason": "wrong partition"})
    assert (answer["state"], "wrong partition" in answer["answer"]["reason"]) == ("checked", True)
    assert draft.post(f"{HERE}/approve", {"digest": digest}).status_code == 409
    assert draft.post(f"{HERE}/reject", {"digest": "sha256:" + "0" * 64, "reason": "r"}).status_code == 409


def test_an_aborted_request_without_data_has_nothing_to_clean(draft):
    """What is registered and expires is tried with a real Rucio, in tests/contract/chain."""
    answer = draft.do(f"{HERE}/abort", {"reason": "r", "clean": True})
    nothing = {"tasks": [], "refused": {}, "already": [], "expiring": [], "message": ""}
    assert (answer["state"], answer["answer"]) == ("aborted", nothing)
