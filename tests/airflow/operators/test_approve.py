"""A plan that waits parks an airflow task; what comes back is looked at before it counts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest
from airflow.sdk.exceptions import AirflowFailException, TaskAwaitingInput, TaskDeferred
from airflow.sdk.execution_time import task_runner

from prodsys.errors import AirflowUnavailable
from prodsys.ledger.requests import get_request
from prodsys.ledger.session import transaction
from prodsys.ledger.tables import PlanRow
from prodsys.model.approval import short
from prodsys.operators.approve import ApproveOperator, AskOperator
from prodsys.operators.parking import Answered, read_answer
from tests.airflow.operators.conftest import REQUEST
from tests.airflow.operators.supervisor import Supervisor
from tests.contract.actions.airflow_api import serve
from tests.contract.actions.question_board import Board
from tests.publishing import Ledger, make_plan

MakeContext = Callable[..., dict[str, Any]]


@pytest.fixture
def supervisor(monkeypatch: pytest.MonkeyPatch) -> Supervisor:
    found = Supervisor()
    monkeypatch.setattr(task_runner, "SUPERVISOR_COMMS", found, raising=False)
    return found


@pytest.fixture
def digest(ledger: Ledger) -> str:
    """Digest of a plan that waits for its approval."""
    plan = make_plan(ledger.catalogue, REQUEST, 1, seeds=3)
    with transaction(ledger.sessions) as session:
        get_request(session, REQUEST).state = "planned"
        session.get_one(PlanRow, (REQUEST, plan.digest())).planned_at = datetime.now(UTC)
    return plan.digest()


@pytest.fixture
def run(context: MakeContext) -> dict[str, Any]:
    made = context()
    made["ti"].id = uuid4()
    return made


@pytest.fixture
def board(monkeypatch: pytest.MonkeyPatch) -> Iterator[Board]:
    """Yield an Airflow that knows people and runs."""
    found = Board()
    with serve(found) as address:
        monkeypatch.setenv("PRODSYS_AIRFLOW_URL", address)
        yield found


def approving(**given: str) -> ApproveOperator:
    return ApproveOperator(task_id="approve", request_id=REQUEST, **given)


def event(digest: str, option: str = "Approve", **params: Any) -> dict[str, Any]:
    return {
        "chosen_options": [option],
        "params_input": {"digest": digest, "comment": None, **params},
        "responded_at": datetime.now(UTC),
        "responded_by_user": {"id": "2", "name": "manager"},
        "timedout": False,
    }


def state(ledger: Ledger) -> str:
    with transaction(ledger.sessions) as session:
        return get_request(session, REQUEST).state


def test_a_plan_that_waits_is_shown_with_its_digest_and_the_two_answers(
    ledger: Ledger, digest: str, run: dict[str, Any], supervisor: Supervisor
) -> None:
    with pytest.raises(TaskAwaitingInput) as parked:
        approving().execute(run)
    assert (parked.value.method_name, parked.value.kwargs) == ("answered", {"digest": digest})
    assert parked.value.timeout is None, "whoever is asked takes the time it needs"
    [asked] = supervisor.asked
    assert (asked.ti_id, asked.options, asked.multiple) == (run["ti"].id, ["Approve", "Reject"], False)
    assert asked.subject.startswith(f"{REQUEST}: plan ")
    assert f"Plan `{digest}`" in asked.body
    assert asked.params["digest"]["value"] == digest
    assert asked.params["comment"]["schema"]["type"] == ["null", "string"], "else the page wants a comment"


def test_why_it_is_asked_again_stands_first(
    ledger: Ledger, digest: str, run: dict[str, Any], supervisor: Supervisor
) -> None:
    with pytest.raises(TaskAwaitingInput):
        approving(digest=digest, said="that was `not` the digest").execute(run)
    assert supervisor.asked[0].body.startswith("**Asked again**\n\n- `that was 'not' the digest`\n\n")


def test_a_plan_that_does_not_wait_is_not_asked_about(
    ledger: Ledger, run: dict[str, Any], supervisor: Supervisor
) -> None:
    assert f"{REQUEST} is ready" in approving().execute(run)
    assert supervisor.asked == []


def test_a_plan_that_was_changed_is_not_asked_about(
    ledger: Ledger, digest: str, run: dict[str, Any], supervisor: Supervisor
) -> None:
    assert "was planned again" in approving(digest="sha256:0").execute(run)
    assert supervisor.asked == []


def test_a_request_that_nobody_knows_fails_at_once(ledger: Ledger, run: dict[str, Any]) -> None:
    with pytest.raises(AirflowFailException, match="PROD2025-999 is not in the ledger"):
        ApproveOperator(task_id="approve", request_id="PROD2025-999").execute(run)


def test_the_answer_is_the_approval_of_whoever_gave_it(
    ledger: Ledger, digest: str, run: dict[str, Any], board: Board
) -> None:
    assert "approved by manager" in approving().answered(run, event(digest), digest)
    assert state(ledger) == "approved"
    with transaction(ledger.sessions) as session:
        assert session.get_one(PlanRow, (REQUEST, digest)).approved_by == "manager"
    assert board.runs == {}


def test_a_rejection_sends_the_request_back(ledger: Ledger, digest: str, run: dict[str, Any], board: Board) -> None:
    assert "too many" in approving().answered(run, event(digest, "Reject", comment="too many"), digest)
    assert state(ledger) == "checked"


def test_a_refused_answer_is_asked_again_by_another_run(
    ledger: Ledger, digest: str, run: dict[str, Any], board: Board
) -> None:
    assert "not that of the plan" in approving().answered(run, event("sha256:0"), digest)
    [again] = board.runs.values()
    assert (again["conf"]["digest"], again["conf"]["said"]) == (digest, again["note"])
    assert "not that of the plan" in again["note"]
    assert state(ledger) == "planned"


def test_an_answer_while_airflows_api_is_away_is_taken_when_it_is_back(
    ledger: Ledger, digest: str, run: dict[str, Any], board: Board
) -> None:
    board.busy, operator = 1000, approving()
    with pytest.raises(TaskDeferred) as deferred:
        operator.answered(run, event(digest), digest)
    assert state(ledger) == "planned"
    board.busy, board.asked = 0, {1: asked_before(digest)}  # in the same try: waiting burns none
    again = approving()
    words = getattr(again, deferred.value.method_name)(run, event=None, **deferred.value.kwargs)
    assert "approved by manager" in words
    assert state(ledger) == "approved"


def asked_before(digest: str, **answered: Any) -> dict[str, Any]:
    """The question of an earlier try, as Airflow's API shows it."""
    shown = {"subject": f"{REQUEST}: plan {short(digest)}", "options": ["Approve", "Reject"]}
    return shown | event(digest) | {"responded_at": "2026-11-21T21:32:02Z"} | answered


def test_an_answer_that_airflow_lost_is_taken_by_the_next_try(
    ledger: Ledger, digest: str, context: MakeContext, board: Board, supervisor: Supervisor
) -> None:
    board.asked = {1: asked_before(digest)}
    assert "approved by manager" in approving().execute(context(try_number=3))
    assert state(ledger) == "approved"
    assert supervisor.asked == []


def test_a_lost_answer_that_cannot_be_taken_is_asked_again_by_another_run(
    ledger: Ledger, digest: str, context: MakeContext, board: Board, supervisor: Supervisor
) -> None:
    board.asked = {2: asked_before(digest, params_input={"digest": "sha256:0"})}
    assert "not that of the plan" in approving().execute(context(try_number=2))
    assert len(board.runs) == 1
    assert supervisor.asked == []


@pytest.mark.parametrize(
    "other",
    [
        {"subject": f"{REQUEST}: plan 000000000000"},
        {"responded_by_user": None, "chosen_options": None},
        {"responded_by_user": {"id": "2", "name": ""}},
    ],
)
def test_what_is_no_answer_to_this_question_is_left(
    ledger: Ledger, digest: str, run: dict[str, Any], board: Board, supervisor: Supervisor, other: dict[str, Any]
) -> None:
    board.asked = {1: asked_before(digest, **other)}
    run["ti"].try_number = 2
    with pytest.raises(TaskAwaitingInput):
        approving().execute(run)
    assert len(supervisor.asked) == 1
    assert state(ledger) == "planned"


def test_woken_without_an_answer_it_asks_on(
    ledger: Ledger, digest: str, run: dict[str, Any], supervisor: Supervisor
) -> None:
    with pytest.raises(TaskAwaitingInput):
        approving().answered(run, {"error": "time is over", "error_type": "timeout"}, digest)
    assert len(supervisor.asked) == 1


def test_without_airflows_api_nobody_is_asked_and_another_try_follows(ledger: Ledger, run: dict[str, Any]) -> None:
    with pytest.raises(AirflowUnavailable):
        AskOperator(task_id="ask").execute(run)


@pytest.mark.parametrize(
    ("said", "read"),
    [
        (None, None),
        ("yes", None),
        ({"responded_by_user": None, "chosen_options": ["Approve"]}, None),
        ({"responded_by_user": {"name": ""}}, None),
        ({"responded_by_user": {"name": "m"}}, Answered("m", "")),
        ({"responded_by_user": {"name": "m"}, "chosen_options": "Approve", "params_input": 3}, Answered("m", "")),
        (
            {"responded_by_user": {"name": "m"}, "chosen_options": ["Reject"], "params_input": {"comment": "c"}},
            Answered("m", "Reject", {"comment": "c"}),
        ),
    ],
)
def test_an_event_of_any_shape_is_read(said: Any, read: Answered | None) -> None:
    assert read_answer(said) == read
