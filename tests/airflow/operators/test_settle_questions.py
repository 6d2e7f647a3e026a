"""The question about a step on Airflow's page: an answer that cannot be taken is asked again, whoever gave it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from airflow.sdk.exceptions import AirflowFailException, TaskAwaitingInput
from airflow.sdk.execution_time import task_runner

from prodsys.actions.settlement.step_questions import find_question
from prodsys.hooks.context import build_context
from prodsys.ledger.session import transaction
from prodsys.ledger.tables import QuestionRow, RequestRow, RunRow, StepRow
from prodsys.model.policy import Answer
from prodsys.model.statuses import RequestState
from prodsys.operators.settle import SettleOperator
from tests.airflow.operators.conftest import REQUEST
from tests.airflow.operators.supervisor import Supervisor
from tests.contract.actions.airflow_api import serve
from tests.contract.actions.question_board import Board
from tests.publishing import Ledger


@pytest.fixture
def supervisor(monkeypatch: pytest.MonkeyPatch) -> Supervisor:
    found = Supervisor()
    monkeypatch.setattr(task_runner, "SUPERVISOR_COMMS", found, raising=False)
    return found


@pytest.fixture(autouse=True)
def board(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> Iterator[Board]:
    """Yield an Airflow that knows people."""
    found = Board()
    with serve(found) as address:
        monkeypatch.setenv("PRODSYS_AIRFLOW_URL", address)
        yield found


@pytest.fixture
def run(context: Callable[..., dict[str, Any]]) -> dict[str, Any]:
    made = context()
    made["ti"].id = uuid4()
    return made


@pytest.fixture
def question_id(ledger: Ledger) -> int:
    """Number of an open question about SIM."""
    with transaction(ledger.sessions) as session:
        step = StepRow(request_id=REQUEST, revision=1, kind="SIM", ordinal=0, notes=[])
        session.add(step)
        session.flush()
        options = [str(one) for one in Answer]
        due_at = datetime.now(UTC) + timedelta(hours=1)
        row = QuestionRow(step_id=step.step_id, body="b", options=options, default=str(Answer.FAIL), due_at=due_at)
        session.add(row)
        session.flush()
        return row.question_id


def settling() -> SettleOperator:
    return SettleOperator(task_id="sim.settle", request_id=REQUEST, revision=1, step="SIM")


def event(option: str, person: str = "manager", **params: Any) -> dict[str, Any]:
    return {
        "chosen_options": [option],
        "params_input": {"reason": None, **params},
        "responded_at": datetime.now(UTC),
        "responded_by_user": {"id": "2", "name": person},
        "timedout": False,
    }


@pytest.mark.parametrize(
    ("option", "person", "params"),
    [
        (str(Answer.ACCEPT), "manager", {}),  # without a reason
        ("perhaps", "manager", {}),
        (str(Answer.RECOVER), "operator", {}),  # Airflow lets him answer, policy.yaml does not
        (str(Answer.RECOVER), "nobody", {}),
    ],
)
def test_what_cannot_be_taken_is_asked_again(
    ledger: Ledger, run: dict[str, Any], question_id: int, supervisor: Supervisor, option, person, params
) -> None:
    with pytest.raises(TaskAwaitingInput) as parked:
        settling().answered(run, event(option, person, **params), question_id)
    assert parked.value.kwargs == {"question_id": question_id}
    [asked] = supervisor.asked
    assert asked.defaults == [str(Answer.FAIL)]
    assert asked.params["reason"]["schema"]["type"] == ["null", "string"], "else no button works without a reason"
    with transaction(ledger.sessions) as session:
        assert session.get_one(QuestionRow, question_id).answer is None


def test_an_answer_that_airflow_lost_is_taken_by_the_next_try(
    ledger: Ledger, run: dict[str, Any], question_id: int, board: Board, supervisor: Supervisor
) -> None:
    shown = {"subject": f"{REQUEST} SIM: question {question_id}"}
    board.asked = {1: shown | event(str(Answer.FAIL)) | {"responded_at": "2026-11-21T21:32:02Z"}}
    run["ti"].try_number = 2
    hands = build_context(who="airflow")
    question = find_question(hands, question_id)
    with pytest.raises(AirflowFailException, match="manager said stop as failed"):
        settling()._ask(hands, run, question)
    assert supervisor.asked == []


def test_a_lost_answer_that_cannot_be_taken_is_asked_again_once(
    ledger: Ledger, run: dict[str, Any], question_id: int, board: Board, supervisor: Supervisor
) -> None:
    shown = {"subject": f"{REQUEST} SIM: question {question_id}"}
    board.asked = {1: shown | event("perhaps") | {"responded_at": "2026-11-21T21:32:02Z"}}
    run["ti"].try_number = 2
    hands = build_context(who="airflow")
    with pytest.raises(TaskAwaitingInput):
        settling()._ask(hands, run, find_question(hands, question_id))
    assert len(supervisor.asked) == 1


def test_an_answer_is_the_persons_and_ends_the_question(
    ledger: Ledger, run: dict[str, Any], question_id: int, supervisor: Supervisor
) -> None:
    with pytest.raises(AirflowFailException, match="manager said stop as failed"):
        settling().answered(run, event(str(Answer.FAIL)), question_id)
    with transaction(ledger.sessions) as session:
        row = session.get_one(QuestionRow, question_id)
        assert (row.answer, row.answered_by) == (str(Answer.FAIL), "manager")
    assert supervisor.asked == []


def test_an_abort_whose_giver_died_is_carried_out_by_the_run_that_finds_it(
    ledger: Ledger, run: dict[str, Any], question_id: int, supervisor: Supervisor
) -> None:
    with transaction(ledger.sessions) as session:
        row = session.get_one(QuestionRow, question_id)
        row.answer, row.answered_by, row.answered_at = str(Answer.ABORT), "manager", datetime.now(UTC)
    with pytest.raises(AirflowFailException, match="manager said abort"):
        settling().answered(run, event(str(Answer.ABORT)), question_id)
    with transaction(ledger.sessions) as session:
        assert session.get_one(RequestRow, REQUEST).state == RequestState.ABORTED


def test_the_failure_of_a_bunch_is_told_as_that_of_the_bunch(
    ledger: Ledger, run: dict[str, Any], question_id: int, supervisor: Supervisor
) -> None:
    operator = SettleOperator(task_id="b002.sim.settle", request_id=REQUEST, revision=1, step="SIM", bunch=2)
    with transaction(ledger.sessions) as session:
        session.get_one(RequestRow, REQUEST).state = RequestState.RUNNING
        session.add(
            RunRow(dag_id=run["dag_run"].dag_id, dag_run_id=run["dag_run"].run_id, request_id=REQUEST, revision=1,
                   driving=True, airflow_state="running")
        )  # fmt: skip
    with pytest.raises(AirflowFailException):
        operator.answered(run | {"task": operator}, event(str(Answer.FAIL)), question_id)
    with transaction(ledger.sessions) as session:
        row = session.get_one(RequestRow, REQUEST)
        assert (row.state, "b002.sim.settle: " in row.reason) == (RequestState.RUNNING, True)
