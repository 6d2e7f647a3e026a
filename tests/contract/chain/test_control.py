"""Pause, resume, priority, finish and abort: the ledger and PanDA move together."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from prodsys.actions.core.context import Context
from prodsys.actions.core.dry_run import run_dry
from prodsys.actions.reconciliation.reconciling import reconcile
from prodsys.actions.runs.aborting import abort
from prodsys.actions.runs.controlling import finish, set_priority
from prodsys.actions.runs.pausing import pause, resume, suspend
from prodsys.actions.submission.submitting import ensure_submitted
from prodsys.errors import PandaUnavailable, RequestUnavailable, TaskUnknown
from prodsys.ledger.requests import get_request
from prodsys.ledger.session import transaction
from prodsys.model.statuses import FINAL, JobStatus, TaskStatus
from prodsys.orchestrator.client import AirflowClient
from tests.contract.actions.airflow_api import Airflow, serve
from tests.contract.chain.driving import acquire_run, patiently, wait_for_task
from tests.contract.chain.productions import SLOW_ONES
from tests.contract.chain.site import Calls, Site


@pytest.fixture
def airflow() -> Airflow:
    """An Airflow in which all runs go on, and that notes what it is told."""
    return Airflow(run_state="running")


@pytest.fixture
def hands(sites: dict[str, Site], started: object, airflow: Airflow) -> Iterator[Context]:
    """Yield hands at the quieter site, with that Airflow."""
    with serve(airflow) as url:
        ctx = sites["none"].context()
        yield replace(ctx, clients=replace(ctx.clients, airflow=lambda: AirflowClient(url, "prodsys", "p", 5)))


def running(site: Site, ctx: Context, request_id: str) -> int:
    """JEDI id of the SIM task of a request whose jobs run, slowly."""
    site.approved(request_id, seed_count=3)
    acquire_run(site.context(), request_id)

    def submitted() -> int | None:
        try:
            return ensure_submitted(ctx, request_id, "SIM")[0]
        except PandaUnavailable:
            return None

    task = patiently(submitted, "the submission")
    until(ctx, task, TaskStatus.RUNNING)
    return task


def _at_a_pilot(ctx: Context, task: int) -> bool:
    return any(job.status is JobStatus.RUNNING for job in ctx.panda.get_jobs(task))


def until(ctx: Context, task: int, *wanted: TaskStatus) -> None:
    def look() -> bool | None:
        try:
            return ctx.panda.get_status(task) in wanted or None
        except TaskUnknown:
            return None

    patiently(look, f"task {task} to be one of {wanted}")


def test_a_pause_rests_the_task_and_nothing_is_submitted_meanwhile(sites: dict[str, Site], hands: Context) -> None:
    task = running(sites["none"], hands, SLOW_ONES[0])
    assert pause(hands, SLOW_ONES[0]).tasks == (task,)
    until(hands, task, TaskStatus.PAUSED)
    with pytest.raises(RequestUnavailable):
        ensure_submitted(hands, SLOW_ONES[0], "SIM")
    assert resume(hands, SLOW_ONES[0]).tasks == (task,)
    until(hands, task, TaskStatus.RUNNING, TaskStatus.DONE)
    assert set_priority(hands, SLOW_ONES[0], 950).tasks == (task,)
    assert hands.panda.get_task(task).priority in {900, 950}
    wait_for_task(hands, SLOW_ONES[0], "SIM")
    assert ensure_submitted(hands, SLOW_ONES[0], "SIM") == (task,)


def test_a_pause_that_panda_had_not_heard_is_said_again_by_the_reconciler(
    sites: dict[str, Site], hands: Context
) -> None:
    task = running(sites["none"], hands, SLOW_ONES[1])
    rehearsal = run_dry(hands, lambda stage: pause(stage, SLOW_ONES[1]))  # the ledger's part alone
    assert rehearsal.answer.state == "paused"
    assert rehearsal.effects == [f"airflow pause dag prod__{SLOW_ONES[1]}", f"panda pause {task}"]
    assert hands.panda.get_status(task) is not TaskStatus.PAUSED
    pause(hands, SLOW_ONES[1])
    until(hands, task, TaskStatus.PAUSED)
    hands.panda.resume(task)
    until(hands, task, TaskStatus.RUNNING)
    found = [one for one in reconcile(hands, repair=True) if one.request_id == SLOW_ONES[1]]
    assert any("went on while it is paused" in one.what for one in found)
    until(hands, task, TaskStatus.PAUSED)
    assert abort(hands, SLOW_ONES[1], "enough").tasks == (task,)
    until(hands, task, TaskStatus.ABORTED)


def test_a_finish_ends_the_task_with_what_it_has(sites: dict[str, Site], hands: Context) -> None:
    task = running(sites["none"], hands, SLOW_ONES[2])
    assert finish(hands, SLOW_ONES[2], "the beam time is over").tasks == (task,)
    until(hands, task, *FINAL)
    assert finish(hands, SLOW_ONES[2]).refused


def looked(ctx: Context, request_id: str) -> str:
    """What the reconciler, mending, says of one request."""
    return "; ".join(one.what for one in reconcile(ctx, repair=True) if one.request_id == request_id)


def test_what_a_pause_or_resume_left_half_done_is_mended(
    sites: dict[str, Site], hands: Context, airflow: Airflow
) -> None:
    request_id = SLOW_ONES[4]
    dag_id, task = f"prod__{request_id}", running(sites["none"], hands, request_id)
    pause(hands, request_id)
    until(hands, task, TaskStatus.PAUSED)
    hands.panda.resume(task)
    until(hands, task, TaskStatus.RUNNING)
    airflow.refused = frozenset({f"/dags/{dag_id}"})
    found = reconcile(hands, repair=True)
    assert [one.cause for one in found if one.request_id == request_id and "could not be compared" in one.what]
    airflow.refused = frozenset()
    assert "went on while it is paused" in looked(hands, request_id)
    until(hands, task, TaskStatus.PAUSED)

    nowhere = sites["none"].context(panda_url="http://127.0.0.1:1")
    with pytest.raises(PandaUnavailable):
        resume(replace(nowhere, clients=replace(nowhere.clients, airflow=hands.clients.airflow)), request_id)
    airflow.pages["/dags"] = {"dags": [{"dag_id": dag_id}, {"dag_id": "another"}], "total_entries": 2}
    said = looked(hands, request_id)
    assert f"its DAG {dag_id} is paused while it runs" in said
    assert "its tasks rest in PanDA while it is running" in said
    assert airflow.changed[-1] == (f"/dags/{dag_id}", {"is_paused": False})
    until(hands, task, TaskStatus.RUNNING, TaskStatus.DONE)
    airflow.pages.clear()
    assert "while" not in looked(hands, request_id)


def test_a_kill_is_sent_once_and_no_pause_after_it(sites: dict[str, Site], hands: Context) -> None:
    """A killed task whose jobs run is `aborting` for minutes; a pause would be taken, and it would rest for ever."""
    request_id, calls = SLOW_ONES[6], Calls()
    task = running(sites["none"], hands, request_id)
    patiently(lambda: _at_a_pilot(hands, task) or None, f"a running job of task {task}")  # else it aborts in a moment
    watched = sites["none"].context(calls)
    watched = replace(watched, clients=replace(watched.clients, airflow=hands.clients.airflow))

    def sent() -> list[str]:
        return [call for call, target in calls.lines if target == str(task) and call in {"task/kill", "task/pause"}]

    assert abort(watched, request_id, "enough").tasks == (task,)
    assert suspend(watched, request_id).already == (task,)
    until(hands, task, TaskStatus.ABORTING)
    assert abort(watched, request_id, "enough").already == (task,)
    assert sent() == ["task/kill"]

    hands.panda.pause(task)  # somebody in the monitor
    until(hands, task, TaskStatus.PAUSED)
    assert f"tasks ({task},) lived on after the abort" in looked(watched, request_id)
    assert sent() == ["task/kill"] * 2
    until(hands, task, TaskStatus.ABORTING, TaskStatus.TOABORT, TaskStatus.ABORTED)
    assert "lived on" not in looked(watched, request_id)
    until(hands, task, TaskStatus.ABORTED)
    assert sent() == ["task/kill"] * 2


def test_a_task_that_somebody_killed_is_not_paused_with_its_request(sites: dict[str, Site], hands: Context) -> None:
    request_id = SLOW_ONES[7]
    task = running(sites["none"], hands, request_id)
    patiently(lambda: _at_a_pilot(hands, task) or None, f"a running job of task {task}")
    hands.panda.kill(task)  # somebody in the monitor
    until(hands, task, TaskStatus.ABORTING)
    assert pause(hands, request_id).already == (task,)
    until(hands, task, TaskStatus.ABORTED)


def test_a_run_that_lives_on_after_the_abort_is_ended(sites: dict[str, Site], hands: Context, airflow: Airflow) -> None:
    request_id = "DEMO2025-943"
    sites["none"].approved(request_id)
    abort(hands, request_id, "not needed")
    runs = [{"dag_id": f"prod__{one}", "dag_run_id": f"{one}-r1", "state": "running"} for one in (request_id, "other")]
    airflow.pages["/dags/~/dagRuns"] = {"dag_runs": runs, "total_entries": 2}
    assert looked(hands, request_id) == "", "it may still end by itself"
    with transaction(hands.sessions) as session:
        get_request(session, request_id).changed_at = datetime.now(UTC) - timedelta(hours=1)
    assert looked(hands, request_id) == f"run {request_id}-r1 lived on after the abort"
    path = f"/dags/prod__{request_id}/dagRuns/{request_id}-r1"
    told = [one for one in airflow.changed if request_id in one[0]]  # the reconciler tells other requests, too
    assert told == [(path, {"state": "failed"})]
