from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from airflow.sdk import DAG
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException, DownstreamTasksSkipped, TaskDeferred

from prodsys.errors import PandaRefused
from prodsys.ledger.requests import get_request
from prodsys.ledger.session import transaction
from prodsys.operators.base import DrivingOperator, RequestOperator
from prodsys.operators.gate import GateOperator
from prodsys.operators.settle import SettleOperator
from tests.airflow.operators.conftest import REQUEST
from tests.contract.actions.airflow_api import Airflow, serve
from tests.contract.actions.question_board import Board
from tests.publishing import Ledger

MakeContext = Callable[..., dict[str, Any]]


class Refusing(RequestOperator):
    """Its action always ends in an error."""

    def __init__(self, *, error: Exception, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.error = error

    def act(self, ctx: Any, context: Any) -> None:
        raise self.error


class Driving(DrivingOperator):
    """Its action always succeeds."""

    def drive(self, ctx: Any, context: Any) -> str:
        return "driven"


def refusing(error: Exception | None = None) -> Refusing:
    wrong = error or PandaRefused("submit", "no site", 4)
    return Refusing(task_id="refuse", request_id=REQUEST, revision=1, error=wrong)


def driving() -> Driving:
    return Driving(task_id="drive", request_id=REQUEST, revision=1)


def gate(revision: int = 1, request_id: str = REQUEST) -> GateOperator:
    with DAG(dag_id=f"prod__{request_id}", schedule=None):
        operator = GateOperator(task_id="gate", request_id=request_id, revision=revision)
        behind = SettleOperator(task_id="settle", request_id=request_id, revision=revision, step="SIM")
        operator >> behind >> SettleOperator(task_id="last", request_id=request_id, revision=revision, step="RECO")
    return operator


def state(ledger: Ledger, to: str | None = None) -> str:
    with transaction(ledger.sessions) as session:
        row = get_request(session, REQUEST)
        row.state = to or row.state
        return row.state


@contextmanager
def people(monkeypatch: pytest.MonkeyPatch) -> Iterator[Board]:
    """Yield an Airflow that knows people."""
    board = Board()
    with serve(board) as address:
        monkeypatch.setenv("PRODSYS_AIRFLOW_URL", address)
        yield board


def turned_away(operator: GateOperator, context: dict[str, Any]) -> str:
    with pytest.raises(DownstreamTasksSkipped) as skipped:
        operator.execute(context)
    assert sorted(skipped.value.tasks) == ["last", "settle"]
    return context["ti"].xcoms["return_value"]


def test_the_first_run_drives(ledger: Ledger, context: MakeContext) -> None:
    assert "drives" in gate().execute(context())
    assert state(ledger) == "running"


def test_the_same_run_may_enter_again(ledger: Ledger, context: MakeContext) -> None:
    gate().execute(context())
    assert "drives" in gate().execute(context())


def test_a_run_of_a_complete_request_ends_at_once_with_its_certificate(ledger: Ledger, context: MakeContext) -> None:
    state(ledger, "complete")
    assert "certificate" in turned_away(gate(), context())


def test_a_run_of_another_revision_ends_at_once(ledger: Ledger, context: MakeContext) -> None:
    assert "revision 2" in turned_away(gate(revision=2), context())


def test_a_request_that_is_not_in_the_ledger_fails_without_another_try(ledger: Ledger, context: MakeContext) -> None:
    with pytest.raises(AirflowFailException, match="PROD2025-999 is not in the ledger"):
        gate(request_id="PROD2025-999").execute(context())


def test_a_ledger_that_is_away_is_waited_for(
    ledger: Ledger, context: MakeContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    away = "postgresql+psycopg://prodsys@127.0.0.1:1/prodsys"
    monkeypatch.setenv("PRODSYS_DATABASE_URL", away)
    monkeypatch.setenv("AIRFLOW_CONN_PRODSYS_LEDGER", away.replace("postgresql+psycopg", "postgres"))
    with pytest.raises(TaskDeferred) as deferred:
        gate().execute(context())
    assert deferred.value.kwargs["outage"]["service"] == "ledger"


def test_a_failure_is_told_to_the_ledger_in_the_words_of_the_error(ledger: Ledger, context: MakeContext) -> None:
    gate().execute(context())
    with pytest.raises(AirflowFailException):
        refusing().execute(context())
    with transaction(ledger.sessions) as session:
        row = get_request(session, REQUEST)
        assert (row.state, row.reason) == ("failed", "refuse: PanDA refused submit: no site (code 4)")


def test_trouble_of_this_host_is_told_on_the_last_try_only(ledger: Ledger, context: MakeContext) -> None:
    gate().execute(context())
    for number, expected in ((1, "running"), (11, "failed")):
        with pytest.raises(OSError, match="No space left"):
            refusing(OSError(28, "No space left on device")).execute(context(try_number=number))
        assert state(ledger) == expected


def test_a_fault_of_our_own_ends_the_run_at_once_and_is_told_with_its_type(
    ledger: Ledger, context: MakeContext
) -> None:
    gate().execute(context())
    with pytest.raises(AirflowFailException, match="KeyError: 'bytes'"):
        refusing(KeyError("bytes")).execute(context())
    with transaction(ledger.sessions) as session:
        row = get_request(session, REQUEST)
        assert (row.state, row.reason.partition(" (")[0]) == ("failed", "refuse: KeyError: 'bytes'")


def test_a_failed_run_has_a_note_with_the_reason(
    ledger: Ledger, context: MakeContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    airflow = Airflow()
    with serve(airflow) as address:
        monkeypatch.setenv("PRODSYS_AIRFLOW_URL", address)
        gate().execute(context())
        with pytest.raises(AirflowFailException):
            refusing().execute(context())
    place = f"/dags/prod__{REQUEST}/dagRuns/{REQUEST}-r1"
    assert airflow.changed == [(place, {"note": "refuse: PanDA refused submit: no site (code 4)"})]


def test_after_a_failure_another_run_goes_on(
    ledger: Ledger, context: MakeContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate().execute(context())
    with pytest.raises(AirflowFailException):
        refusing().execute(context())
    with people(monkeypatch):
        assert "which was failed" in gate().execute(context("manual__2", who="manager"))
    assert state(ledger) == "running"


def test_a_task_cleared_alone_takes_the_wheel_again(ledger: Ledger, context: MakeContext) -> None:
    gate().execute(context())
    with pytest.raises(AirflowFailException):
        refusing().execute(context())
    assert driving().execute(context()) == "driven"
    assert state(ledger) == "running"


def test_a_task_of_a_run_that_may_not_drive_is_skipped_with_the_reason(ledger: Ledger, context: MakeContext) -> None:
    state(ledger, "complete")
    with pytest.raises(AirflowSkipException, match="is complete"):
        driving().execute(context())


def test_a_failure_with_the_ledger_away_is_still_the_failure(
    ledger: Ledger, context: MakeContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_PRODSYS_LEDGER", "postgres://prodsys@127.0.0.1:1/prodsys")
    with pytest.raises(AirflowFailException, match="no site"):
        refusing().execute(context())
