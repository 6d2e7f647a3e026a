"""PandaTaskSensor on a real ledger, before a PanDA over HTTP."""

from __future__ import annotations

import os
import time
from typing import Any

import pytest

from tests.airflow.sensors.conftest import CONTEXT, REQUEST, TASK, TASK_MAP, Book
from tests.airflow.triggers.conftest import Grid

from airflow.providers.standard.triggers.temporal import DateTimeTrigger  # isort: skip
from airflow.sdk.exceptions import AirflowFailException, TaskDeferred  # isort: skip
from prodsys.hooks.links import PandaTaskLink  # isort: skip
from prodsys.sensors.panda_task import PandaTaskSensor, one_line  # isort: skip
from prodsys.triggers.panda_task import PandaTaskTrigger  # isort: skip

DEADLINE_TS = time.time() + 3600


@pytest.fixture
def sensor() -> PandaTaskSensor:
    return PandaTaskSensor(task_id="wait", request_id=REQUEST, step="SIM")


def _deferred(call: Any, *arguments: Any, **named: Any) -> tuple[PandaTaskTrigger, TaskDeferred]:
    with pytest.raises(TaskDeferred) as caught:
        call(*arguments, **named)
    trigger = caught.value.trigger
    assert isinstance(trigger, PandaTaskTrigger)
    return trigger, caught.value


def _event(status: str, jedi_task_id: int = TASK, reason: str = "") -> dict[str, Any]:
    return {"jedi_task_id": jedi_task_id, "status": status, "reason": reason}


def _say(grid: Grid, status: str, dialog: str | None = None, **stored: Any) -> None:
    """Let PanDA show the task in this status, with the map we sent."""
    grid.statuses[TASK] = status
    grid.details[TASK] = {"taskName": TASK_MAP["taskName"], "taskType": "prod", "errorDialog": dialog} | stored
    grid.maps[TASK] = TASK_MAP | {"userName": "production"}


def test_a_task_that_panda_does_not_show_yet_is_first_waited_for_until_it_does(book: Book, sensor: PandaTaskSensor):
    book.add_task(None)
    trigger, deferred = _deferred(sensor.execute, CONTEXT)
    times = book.ledger.catalogue.profile.times
    assert (trigger.jedi_task_id, trigger.until_final) == (TASK, False)
    assert trigger.deadline_ts == pytest.approx(time.time() + times.unseen_max_s, abs=5)
    assert deferred.kwargs["deadline_ts"] == pytest.approx(time.time() + times.wait_max_s, abs=5)
    assert deferred.method_name == "resume"


def test_the_first_sight_confirms_the_task_and_waits_for_its_end(book: Book, grid: Grid, sensor: PandaTaskSensor):
    book.add_task(None)
    _say(grid, "defined")
    trigger, deferred = _deferred(sensor.resume, CONTEXT, _event("defined"), deadline_ts=DEADLINE_TS)
    assert (trigger.until_final, trigger.deadline_ts, deferred.kwargs) == (
        True,
        DEADLINE_TS,
        {"deadline_ts": DEADLINE_TS},
    )
    assert (book.task().intent, book.task().status) == ("confirmed", "defined")


@pytest.mark.parametrize("status", ["done", "finished"])
def test_a_task_with_output_ends_the_wait(book: Book, grid: Grid, sensor: PandaTaskSensor, status: str):
    book.add_task("running", "confirmed")
    _say(grid, status)
    assert sensor.resume(CONTEXT, _event(status), deadline_ts=DEADLINE_TS) == TASK
    assert book.task().status == status


@pytest.mark.parametrize("status", ["broken", "failed", "aborted", "exhausted"])
def test_a_task_without_output_fails_with_pandas_words(book: Book, grid: Grid, sensor: PandaTaskSensor, status: str):
    book.add_task("running", "confirmed")
    _say(grid, status, "no scout jobs\n  succeeded")
    with pytest.raises(AirflowFailException, match=rf"task {TASK} ended as {status}: no scout jobs succeeded"):
        sensor.resume(CONTEXT, _event(status), deadline_ts=DEADLINE_TS)
    assert book.task().status == status


def test_the_ledger_hears_pandas_words_when_the_wait_fails(book: Book, grid: Grid, sensor: PandaTaskSensor):
    book.add_task("running", "confirmed")
    book.drive()
    _say(grid, "broken", "no scout jobs succeeded")
    with pytest.raises(AirflowFailException):
        sensor.resume(CONTEXT, _event("broken"), deadline_ts=DEADLINE_TS)
    assert book.request() == ("failed", f"wait: PanDA task {TASK} ended as broken: no scout jobs succeeded")


def test_a_task_that_left_its_final_status_is_waited_for_again(book: Book, grid: Grid, sensor: PandaTaskSensor):
    book.add_task("running", "confirmed")
    _say(grid, "running")
    trigger, _ = _deferred(sensor.resume, CONTEXT, _event("finished"), deadline_ts=DEADLINE_TS)
    assert trigger.until_final


@pytest.mark.parametrize("away", ["panda", "iam"])
def test_a_panda_that_went_away_is_no_failure(book: Book, grid: Grid, sensor: PandaTaskSensor, away: str):
    book.add_task("running", "confirmed")
    grid.down(iam=away == "iam")
    trigger, _ = _deferred(sensor.resume, CONTEXT, _event("done"), deadline_ts=DEADLINE_TS)
    assert trigger.deadline_ts == DEADLINE_TS


def test_a_lost_role_fails_at_once_and_the_task_is_killed(book: Book, grid: Grid, sensor: PandaTaskSensor):
    book.add_task(None)
    _say(grid, "defined", taskType="anal")
    with pytest.raises(AirflowFailException, match="production role was lost"):
        sensor.resume(CONTEXT, _event("defined"), deadline_ts=DEADLINE_TS)
    assert [one.body for one in grid.replay.seen if one.path.endswith("task/kill")] == [{"task_id": TASK}]


def test_the_elder_of_a_twin_is_waited_for_instead(book: Book, grid: Grid, sensor: PandaTaskSensor):
    book.add_task(None)
    _say(grid, "aborted", "toabort since there is duplicated task -> jediTaskID=360", taskName=None)
    grid.maps[360] = TASK_MAP
    trigger, _ = _deferred(sensor.resume, CONTEXT, _event("aborted"), deadline_ts=DEADLINE_TS)
    assert trigger.jedi_task_id == 360
    assert (book.task().jedi_task_id, book.task().twins) == (360, [TASK])


@pytest.mark.parametrize("event", [None, "done", {}, {"status": "done"}, {"jedi_task_id": 1, "status": "done"}])
def test_an_event_about_something_else_is_not_believed(book: Book, sensor: PandaTaskSensor, event: Any):
    book.add_task("running", "confirmed")
    trigger, _ = _deferred(sensor.resume, CONTEXT, event, deadline_ts=DEADLINE_TS)
    assert trigger.jedi_task_id == TASK


def test_past_the_deadline_it_fails_and_panda_is_not_touched(book: Book, grid: Grid, sensor: PandaTaskSensor):
    book.add_task("running", "confirmed")
    with pytest.raises(AirflowFailException, match=r"not in time.*untouched: clear this airflow task"):
        sensor.resume(CONTEXT, _event("deadline", reason="not in time"), deadline_ts=DEADLINE_TS)
    assert grid.replay.seen == []


def test_a_step_that_is_not_submitted_is_looked_at_again_later(book: Book, sensor: PandaTaskSensor):
    with book.ledger.sessions.begin() as session:
        from prodsys.ledger.tables import StepRow

        session.add(StepRow(request_id=REQUEST, revision=1, kind="SIM", ordinal=0))
    with pytest.raises(TaskDeferred) as deferred:
        sensor.execute(CONTEXT)
    assert deferred.value.kwargs["outage"]["service"] == "PanDA"


def test_a_ledger_that_is_away_is_waited_for(
    book: Book, sensor: PandaTaskSensor, grid: Grid, monkeypatch: pytest.MonkeyPatch
):
    book.add_task("running", "confirmed")
    connection = os.environ["AIRFLOW_CONN_PRODSYS_LEDGER"]
    monkeypatch.setenv("AIRFLOW_CONN_PRODSYS_LEDGER", "postgres://prodsys:x@127.0.0.1:1/prodsys")
    with pytest.raises(TaskDeferred) as deferred:
        sensor.execute(CONTEXT)
    assert isinstance(deferred.value.trigger, DateTimeTrigger)
    monkeypatch.setenv("AIRFLOW_CONN_PRODSYS_LEDGER", connection)
    back = getattr(sensor, deferred.value.method_name)
    trigger, _ = _deferred(back, CONTEXT, event=None, **deferred.value.kwargs)
    assert trigger.jedi_task_id == TASK


def test_the_link_points_to_the_task(book: Book, sensor: PandaTaskSensor):
    book.add_task("running", "confirmed")
    _deferred(sensor.execute, CONTEXT)
    assert PandaTaskLink().get_link(sensor, ti_key=None) == f"http://monitor/task/{TASK}"


def test_words_of_any_length_become_one_line():
    assert one_line("a\n  b\tc") == "a b c"
    assert len(one_line("x " * 5000)) == 500
