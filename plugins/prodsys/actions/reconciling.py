"""Reconcile: compare ledger, Airflow, PanDA and Rucio, name every disagreement with its cause, repair what is safe.

Safe is to re-read a status, to adopt a known id, to link a run again. A person's "failed" in Airflow's event log for
the running try means abort; anything else that Airflow did to a wait is left alone (DESIGN decision 6).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import defer

from prodsys.actions.aborting import abort
from prodsys.actions.comparing_rucio import compare_datasets, compare_rules
from prodsys.actions.context import Context
from prodsys.actions.driving import note_failure
from prodsys.actions.findings import Finding, Look
from prodsys.actions.launching import dag_id_of, run_id_of
from prodsys.actions.pausing import rest
from prodsys.actions.restarting import retry, settle_again
from prodsys.actions.telling import tell_tasks
from prodsys.actions.twin_watch import look_for_twins
from prodsys.actions.waiting import record_status
from prodsys.errors import ProductionError, ServiceUnavailable
from prodsys.ledger.requests import list_steps
from prodsys.ledger.session import transaction
from prodsys.ledger.tables import RequestRow, RunRow, StepRow, TaskRow
from prodsys.ledger.tasks import list_tasks
from prodsys.model.statuses import DELIVERED, FINAL, WITH_OUTPUT, RequestState, TaskStatus
from prodsys.orchestrator.entries import LogEntry, RunInfo


def reconcile(ctx: Context, *, repair: bool) -> list[Finding]:
    """All disagreements; with ``repair`` the safe ones are mended. A service that is down hides only its part."""
    here: list[Look] = [_runs, _lost_starts, _statuses, _aborted, _paused]
    looks = [*here, look_for_twins, compare_rules, compare_datasets]
    found: list[Finding] = []
    for look in looks:
        try:
            found.extend(look(ctx, repair))
        except ServiceUnavailable as error:
            found.append(Finding("", f"{look.__name__.strip('_')} could not be compared", str(error), False, "wait"))
    return found


def _runs(ctx: Context, repair: bool) -> Iterator[Finding]:
    """Requests whose driving run is over, without the ledger knowing."""
    with transaction(ctx.sessions) as session:
        driven = session.scalars(select(RunRow).where(RunRow.driving)).all()
    for row in driven:
        run = ctx.airflow.get_run(row.dag_id, row.dag_run_id)
        if run is not None and not run.ended_for_good:
            continue
        yield _over(ctx, row, run, repair)


def _over(ctx: Context, row: RunRow, run: RunInfo | None, repair: bool) -> Finding:
    by_person = _persons_failure(ctx, row) if run is not None and run.airflow_state == "failed" else None
    if by_person is not None:
        what = f"run {row.dag_run_id} was failed by {by_person.owner}"
        if repair:
            abort(ctx, row.request_id, f"{by_person.owner} failed it in Airflow ({by_person.event})")
        return Finding(row.request_id, what, "a person's decision in Airflow", repair, "its PanDA tasks are killed")
    state = run.airflow_state if run else "gone from Airflow"
    if repair:
        reason = f"its run is {state} before the request ended{_last_words(ctx, row.request_id)}"
        note_failure(ctx, row.request_id, row.dag_id, row.dag_run_id, reason)
    advice = f"start the DAG {row.dag_id} again: it goes on where the ledger stands"
    return Finding(
        row.request_id, f"run {row.dag_run_id} is {state}, the request has not ended", "Airflow", repair, advice
    )


def _last_words(ctx: Context, request_id: str) -> str:
    """What PanDA said of a task of the request that ended badly; "" when none did."""
    with transaction(ctx.sessions) as session:
        ended = [
            task for _, task in list_tasks(session, request_id) if TaskStatus(task.status or "") in FINAL - WITH_OUTPUT
        ]
    return "".join(f"; PanDA task {one.jedi_task_id} is {one.status}: {one.status_reason}" for one in ended)


def _persons_failure(ctx: Context, row: RunRow) -> LogEntry | None:
    """The entry of a person who set this run, or an airflow task of it, to failed; None when nobody did."""
    for entry in ctx.airflow.event_log(row.dag_id, row.entered_at):
        if entry.dag_run_id == row.dag_run_id and entry.owner != ctx.airflow.user and _says_failed(entry):
            return entry
    return None


def _says_failed(entry: LogEntry) -> bool:
    """Whether the entry is that of setting a state to failed through UI or API, one by one or in bulk."""
    if not entry.event.startswith(("patch_", "bulk_")):
        return False
    try:
        return "failed" in _new_states(json.loads(entry.extra or "{}"))
    except ValueError:
        return False


def _new_states(extra: object) -> Iterator[str]:
    """Every state that the body of a call asks for; bulk calls nest it under actions and entities."""
    if isinstance(extra, dict):
        yield from (str(extra[key]) for key in ("new_state", "state") if key in extra)
        for key in ("actions", "entities"):
            yield from (state for one in extra.get(key) or [] for state in _new_states(one))


def _lost_starts(ctx: Context, repair: bool) -> Iterator[Finding]:
    """Requests that were started and have no run: Airflow lost it, or the starter died before asking."""
    grace = timedelta(seconds=ctx.catalogue.profile.times.dag_visible_max_s)
    with transaction(ctx.sessions) as session:
        wanted = select(RequestRow).where(
            RequestRow.state == RequestState.READY, RequestRow.launched_at < datetime.now(UTC) - grace
        )
        started = session.scalars(wanted).all()
    for row in started:
        if ctx.airflow.get_run(dag_id_of(row.request_id), run_id_of(row)) is not None:
            continue
        if repair:
            with transaction(ctx.sessions) as session:
                again = session.get(RequestRow, row.request_id, with_for_update=True)
                if again is not None and again.state == RequestState.READY:
                    again.launched_at = None
        yield Finding(
            row.request_id, "started, but Airflow has no run", "the start was lost", repair, "dispatch starts it"
        )


def _statuses(ctx: Context, repair: bool) -> Iterator[Finding]:
    """Tasks whose status in PanDA is not the one in the ledger."""
    with transaction(ctx.sessions) as session:
        wanted = (
            select(TaskRow, RequestRow)
            .join(StepRow, StepRow.step_id == TaskRow.step_id)
            .join(RequestRow, RequestRow.request_id == StepRow.request_id)
            .where(TaskRow.jedi_task_id.is_not(None), RequestRow.state != RequestState.ARCHIVED)
            .options(defer(TaskRow.task_map))  # it lists every seed, and this runs every minute
        )
        rows = [(task, request) for task, request in session.execute(wanted)]
    if not rows:
        return
    ids = {task.jedi_task_id for task, _ in rows if task.jedi_task_id is not None}
    seen = ctx.panda.list_statuses(ids, ctx.catalogue.profile.times.modified_window_s)
    for task, request in rows:
        now = seen.get(task.jedi_task_id or 0, TaskStatus.UNSEEN)
        if now is TaskStatus.UNSEEN or now == task.status:
            continue
        yield _moved(ctx, task, request, now, repair)


def _moved(ctx: Context, task: TaskRow, request: RequestRow, now: TaskStatus, repair: bool) -> Finding:
    what = f"task {task.jedi_task_id} ({task.task_name}) is {now}, the ledger says {task.status}"
    if TaskStatus(task.status or "") in FINAL and now not in FINAL and task.retried_at is None:
        return _reopened(ctx, task, request, now, what, repair)
    if repair:
        try:
            record_status(ctx, task.jedi_task_id or 0, now)
        except ProductionError as error:
            return Finding(request.request_id, what, str(error), False, "look at the task")
    return Finding(request.request_id, what, "the ledger had not heard yet", repair)


def _reopened(ctx: Context, task: TaskRow, request: RequestRow, now: TaskStatus, what: str, repair: bool) -> Finding:
    """A task that had ended works again: the request is settled again, a certificate gets a new revision."""
    state, cause = RequestState(request.state), "somebody retried it in PanDA's monitor"
    advice = "its request is settled again before it is closed"
    try:
        if repair:
            record_status(ctx, task.jedi_task_id or 0, now)
        if state in DELIVERED:
            advice = "its request is settled again and gets a new revision of its certificate"
            if repair:
                advice = settle_again(ctx, request.request_id, what, wait=False).message
        elif state is RequestState.FAILED:
            advice = "its request goes on"
            if repair:
                advice = retry(ctx, request.request_id, wait=False).message
    except ProductionError as error:
        return Finding(request.request_id, what, cause, False, str(error))
    return Finding(request.request_id, what, cause, repair, advice)


def _aborted(ctx: Context, repair: bool) -> Iterator[Finding]:
    """Aborted requests with tasks that live on: PanDA was down, or did not know them yet."""
    with transaction(ctx.sessions) as session:
        ids = session.scalars(select(RequestRow.request_id).where(RequestRow.state == RequestState.ABORTED)).all()
        ids = [one for one in ids if list_steps(session, one)]
    for request_id in ids:
        killed = tell_tasks(ctx, request_id, lambda task: ctx.panda.kill(task)).tasks if repair else ()
        if killed:
            yield Finding(request_id, f"tasks {killed} lived on after the abort", "the kill had not arrived", True)


def _paused(ctx: Context, repair: bool) -> Iterator[Finding]:
    """Paused requests with tasks that go on: PanDA was down, or JEDI had not refined them yet."""
    awake = TaskRow.jedi_task_id.is_not(None), TaskRow.status != TaskStatus.PAUSED, ~TaskRow.final
    with transaction(ctx.sessions) as session:
        wanted = (
            select(RequestRow.request_id)
            .join(StepRow, StepRow.request_id == RequestRow.request_id)
            .join(TaskRow, TaskRow.step_id == StepRow.step_id)
            .where(RequestRow.state == RequestState.PAUSED, *awake)
        )
        ids = session.scalars(wanted.distinct()).all()
    for request_id in ids:
        told = rest(ctx, request_id).tasks if repair else ()
        if told:
            yield Finding(request_id, f"tasks {told} went on while it is paused", "the pause had not arrived", True)
