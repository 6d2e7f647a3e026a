"""A service that is away is waited for, deferred: no try is burned, no run ends, and people see why nothing moves."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime
from importlib import import_module
from typing import Any, ClassVar

import pytest
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException, TaskDeferred

from prodsys.actions.queries.showing import show_audit
from prodsys.errors import FilesUnavailable, LedgerUnavailable, PandaUnavailable, RucioUnavailable, ServiceUnavailable
from prodsys.hooks.context import build_context
from prodsys.hooks.outages import pause_s
from prodsys.ledger.requests import get_request
from prodsys.ledger.session import transaction
from prodsys.operators.base import DrivingOperator
from prodsys.operators.settle import SettleOperator
from tests.airflow.operators.conftest import NOBODY, REQUEST
from tests.airflow.operators.test_gate import gate, state
from tests.contract.actions.airflow_api import Airflow, serve
from tests.publishing import Ledger

MakeContext = Callable[..., dict[str, Any]]
ALL_TRIES = 11
AWAY: list[ServiceUnavailable] = [
    PandaUnavailable("HTTP 503"),
    RucioUnavailable("no answer"),
    LedgerUnavailable("gone"),
    FilesUnavailable("certificates", "cannot be written: No space left on device"),
]


class Calling(DrivingOperator):
    """Its action is the next of a list: an error, or an answer."""

    script: ClassVar[list[Any]] = []

    def drive(self, ctx: Any, context: Any) -> Any:
        said = self.script.pop(0)
        if isinstance(said, BaseException):
            raise said
        return said


def calling(*script: Any) -> Calling:
    made = Calling(task_id="sim.submit", request_id=REQUEST, revision=1)
    Calling.script = list(script)
    return made


def wait(call: Callable[[], Any]) -> TaskDeferred:
    """The wait that a call ends in, as it comes back from Airflow's database."""
    with pytest.raises(TaskDeferred) as deferred:
        call()
    trigger, method_name = deferred.value.trigger, deferred.value.method_name
    path, arguments = trigger.serialize()
    module, _, name = path.rpartition(".")
    again = getattr(import_module(module), name)(**arguments)
    return TaskDeferred(trigger=again, method_name=method_name, kwargs=json.loads(json.dumps(deferred.value.kwargs)))


def resume(waited: TaskDeferred, context: dict[str, Any]) -> Any:
    """The same airflow task in another process, when the wait is over."""
    operator = Calling(task_id="sim.submit", request_id=REQUEST, revision=1)
    return getattr(operator, waited.method_name)(context, event=None, **(waited.kwargs or {}))


def reason(ledger: Ledger) -> str:
    with transaction(ledger.sessions) as session:
        return get_request(session, REQUEST).reason


def actions() -> list[str]:
    return [line["action"] for line in show_audit(build_context("test"), REQUEST)]


@pytest.mark.parametrize("error", AWAY, ids=lambda one: one.service)
def test_an_outage_longer_than_all_tries_ends_no_run(
    ledger: Ledger, context: MakeContext, error: ServiceUnavailable
) -> None:
    run = context()
    gate().execute(run)
    first = calling(*[error] * 3 * ALL_TRIES, "done")
    waited = wait(lambda: first.execute(run))
    pauses = []
    for _ in range(3 * ALL_TRIES - 1):
        assert (state(ledger), reason(ledger)) == ("running", f"sim.submit waits: {error}")
        pauses.append((waited.trigger.moment - datetime.now(UTC)).total_seconds())
        waited = wait(lambda now=waited: resume(now, run))
    times = build_context("test").catalogue.profile.times
    assert pauses[0] <= times.resume_min_s < pauses[-1] <= times.outage_longest_s
    assert resume(waited, run) == "done"
    assert (state(ledger), reason(ledger), run["ti"].try_number) == ("running", "", 1)
    assert [actions().count(word) for word in ("wait", "go on", "fail")] == [1, 1, 0]


def test_what_is_waited_for_stands_on_the_run(
    ledger: Ledger, context: MakeContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    airflow, run = Airflow(), context()
    with serve(airflow) as address:
        monkeypatch.setenv("PRODSYS_AIRFLOW_URL", address)
        gate().execute(run)
        waited = wait(lambda: calling(AWAY[0], AWAY[0], "done").execute(run))
        waited = wait(lambda: resume(waited, run))
        resume(waited, run)
    [began, ended] = [body["note"] for _, body in airflow.changed]
    assert began == "sim.submit waits: PanDA is not available: HTTP 503"
    assert ended.startswith("PanDA is available again after 0:00:0")


def test_an_outage_ends_with_whatever_comes_after_it(ledger: Ledger, context: MakeContext) -> None:
    run = context()
    gate().execute(run)
    waited = wait(lambda: calling(AWAY[0], AirflowSkipException("nothing to do")).execute(run))
    with pytest.raises(AirflowSkipException):
        resume(waited, run)
    assert reason(ledger) == ""


def test_the_words_of_a_failed_bunch_outlast_an_outage(ledger: Ledger, context: MakeContext) -> None:
    from prodsys.actions.runs.run_ownership import note_failure

    run = context()
    gate().execute(run)
    ids = run["dag_run"].dag_id, run["dag_run"].run_id
    note_failure(build_context("test"), REQUEST, *ids, "b001.sim.settle: lost", 1)
    waited = wait(lambda: calling(AWAY[0], "done").execute(run))
    assert reason(ledger) == f"b001.sim.settle: lost; sim.submit waits: {AWAY[0]}"
    resume(waited, run)
    assert reason(ledger) == "b001.sim.settle: lost"


def test_what_was_away_for_longer_than_the_profile_allows_fails_with_the_reason(
    ledger: Ledger, context: MakeContext
) -> None:
    run = context()
    gate().execute(run)
    waited = wait(lambda: calling(AWAY[0], AWAY[0]).execute(run))
    longest = build_context("test").catalogue.profile.times.wait_max_s
    waited.kwargs["outage"]["since_ts"] = time.time() - longest
    with pytest.raises(AirflowFailException, match=r"PanDA is not available: HTTP 503; it was waited for 1\.0 h"):
        resume(waited, run)
    assert state(ledger) == "failed"
    assert "retry the request" in reason(ledger)


def test_a_try_that_asked_a_question_remembers_it_over_an_outage(
    ledger: Ledger, context: MakeContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    nobody = {"host": NOBODY, "login": "prodsys", "password": "unused", "extra": {"issuer": NOBODY}}
    monkeypatch.setenv("AIRFLOW_CONN_PANDA_DEFAULT", json.dumps({"conn_type": "panda", **nobody}))
    operator = SettleOperator(task_id="sim.settle", request_id=REQUEST, revision=1, step="SIM")
    operator._asked, operator._deadline_ts = True, 12.5
    with pytest.raises(TaskDeferred) as deferred:  # nothing listens where Airflow, PanDA and the rest should be
        operator.answered(context(), {"responded_by_user": None}, _question(ledger))
    assert deferred.value.kwargs["kept"] == {"_asked": True, "_deadline_ts": 12.5}


def _question(ledger: Ledger) -> int:
    """Number of a question whose answer is abort: the answer is carried out at PanDA, which is away."""
    from prodsys.ledger.tables import QuestionRow, StepRow, TaskRow
    from prodsys.ledger.tasks import to_multirange
    from prodsys.model.seeds import parse_seeds

    with transaction(ledger.sessions) as session:
        step = StepRow(request_id=REQUEST, revision=1, kind="SIM", ordinal=0, notes=[])
        session.add(step)
        session.flush()
        session.add(
            TaskRow(
                step_id=step.step_id,
                attempt=1,
                task_name=f"{REQUEST}.SIM",
                seeds=to_multirange(parse_seeds("1-3")),
                task_map={},
                intent="recorded",
                jedi_task_id=7,
            )
        )
        row = QuestionRow(
            step_id=step.step_id,
            body="",
            options=["abort"],
            default="stop as failed",
            due_at=datetime.now(UTC),
            answer="abort",
        )
        row.answered_by = "manager"
        session.add(row)
        session.flush()
        return row.question_id


@pytest.mark.parametrize(("waits", "expected"), [(0, 3), (1, 4), (2, 8), (3, 15), (50, 15), (10_000, 15)])
def test_each_wait_is_twice_as_long_within_the_profile(ledger: Ledger, waits: int, expected: float) -> None:
    assert pause_s(waits, ledger.catalogue.profile.times) == expected
