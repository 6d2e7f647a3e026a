"""Reconcile: compare ledger, Airflow, PanDA and Rucio, name every disagreement with its cause, repair what is safe.

Safe is to re-read a status, to adopt a known id, to link a run again. A person's "failed" in Airflow's event log for
the running try means abort; anything else that Airflow did to a wait is left alone (DESIGN decision 6).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta

from sqlalchemy import ColumnElement, select

from prodsys.actions.aborting import abort
from prodsys.actions.asking import wake_answered
from prodsys.actions.comparing_airflow import resting_dags, runs_after_abort
from prodsys.actions.comparing_rucio import compare_datasets, compare_rules
from prodsys.actions.context import Context
from prodsys.actions.driving import note_failure
from prodsys.actions.findings import Finding, Look, look_at, look_on
from prodsys.actions.launching import dag_id_of, run_id_of
from prodsys.actions.pausing import rest
from prodsys.actions.restarting import retry, settle_again
from prodsys.actions.telling import kill_tasks, tell_tasks
from prodsys.actions.twin_watch import look_for_twins
from prodsys.actions.waiting import has_ended, record_status
from prodsys.errors import ProductionError
from prodsys.ledger.requests import list_steps
from prodsys.ledger.session import transaction
from prodsys.ledger.tables import RequestRow, RunRow, StepRow, TaskRow
from prodsys.ledger.tasks import is_open, list_all_tasks, list_tasks
from prodsys.model.statuses import DELIVERED, FINAL, WITH_OUTPUT, IntentState, RequestState, TaskStatus
from prodsys.orchestrator.entries import LogEntry, RunInfo


def reconcile(ctx: Context, *, repair: bool) -> list[Finding]:
    """All disagreements; with ``repair`` the safe ones are mended. What is down or refuses hides only its part."""
    here: list[Look] = [_runs, _lost_starts, _statuses, _unsettled, _aborted, _paused, _asleep, _unheard]
    looks = [*here, resting_dags, runs_after_abort, look_for_twins, compare_rules, compare_datasets]
    return [one for look in looks for one in look_on(look.__name__.strip("_"), look(ctx, repair))]


def _runs(ctx: Context, repair: bool) -> Iterator[Finding]:
    """Requests whose driving run is over, without the ledger knowing."""
    with transaction(ctx.sessions) as session:
        driven = session.scalars(select(RunRow).where(RunRow.driving)).all()
    for row in driven:
        yield from look_at(row.request_id, _run(ctx, row, repair))


def _run(ctx: Context, row: RunRow, repair: bool) -> Iterator[Finding]:
    run = ctx.airflow.get_run(row.dag_id, row.dag_run_id)
    if run is None or run.ended_for_good:
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
        rows = list_all_tasks(session, TaskRow.jedi_task_id.is_not(None), RequestRow.state != RequestState.ARCHIVED)
    if not rows:
        return
    ids = {task.jedi_task_id for task, _ in rows if task.jedi_task_id is not None}
    seen = ctx.panda.list_statuses(ids, ctx.catalogue.profile.times.modified_window_s)
    for task, request in rows:
        now = seen.get(task.jedi_task_id or 0, TaskStatus.UNSEEN)
        if now in {TaskStatus.UNSEEN, TaskStatus.UNKNOWN, task.status}:  # a word that nobody knows is no news
            continue
        yield _moved(ctx, task, request, now, repair)


def _moved(ctx: Context, task: TaskRow, request: RequestRow, now: TaskStatus, repair: bool) -> Finding:
    what = f"task {task.jedi_task_id} ({task.task_name}) is {now}, the ledger says {task.status}"
    if _had_ended(task) and request.state != RequestState.ABORTED:
        return _reopened(ctx, task, request, now, what, repair)
    if repair:
        try:
            record_status(ctx, task.jedi_task_id or 0, now)
        except ProductionError as error:
            return Finding(request.request_id, what, str(error), False, "look at the task")
    return Finding(request.request_id, what, "the ledger had not heard yet", repair)


def _had_ended(task: TaskRow) -> bool:
    """Whether what is new of the task came after an end that may have been settled, and not by a retry of ours."""
    return has_ended(task) and task.intent != IntentState.SPENT


def _reopened(ctx: Context, task: TaskRow, request: RequestRow, now: TaskStatus, what: str, repair: bool) -> Finding:
    """A task that had ended works again, or did: the request is settled again, a certificate gets a new revision.

    Who dies in between leaves a task that is open in a closed request, which `_unsettled` finds.
    """
    state, cause = RequestState(request.state), "somebody retried it in PanDA's monitor"
    if now in FINAL:
        cause = "it went on after it had ended"
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


def _unsettled(ctx: Context, repair: bool) -> Iterator[Finding]:
    """Closed requests with a task that is open: it began again while the certificate was being written."""
    with transaction(ctx.sessions) as session:
        rows = list_all_tasks(session, RequestRow.state.in_([str(one) for one in DELIVERED]), ~TaskRow.final)
    found = {request.request_id: task for task, request in rows if is_open(task)}
    for request_id, task in found.items():
        yield from look_at(request_id, _settle_open(ctx, request_id, task, repair))


def _settle_open(ctx: Context, request_id: str, task: TaskRow, repair: bool) -> Iterator[Finding]:
    what = f"task {task.jedi_task_id} ({task.task_name}) has not been settled as it is, and the request is closed"
    advice = "settle the request again"
    if repair:
        advice = settle_again(ctx, request_id, what, wait=False).message
    yield Finding(request_id, what, "it began again while the request was being closed", repair, advice)


def _aborted(ctx: Context, repair: bool) -> Iterator[Finding]:
    """Aborted requests with tasks that live on: PanDA was down, or did not know them yet."""
    with transaction(ctx.sessions) as session:
        ids = session.scalars(select(RequestRow.request_id).where(RequestRow.state == RequestState.ABORTED)).all()
        ids = [one for one in ids if list_steps(session, one)]
    for request_id in ids if repair else ():
        killed = kill_tasks(ctx, request_id).tasks
        if killed:
            yield Finding(request_id, f"tasks {killed} lived on after the abort", "the kill had not arrived", True)


def _paused(ctx: Context, repair: bool) -> Iterator[Finding]:
    """Paused requests with tasks that go on: PanDA was down, or JEDI had not refined them yet."""
    for request_id in _with_tasks(ctx, RequestState.PAUSED, TaskRow.status != TaskStatus.PAUSED):
        if repair:
            yield from look_at(request_id, _rest(ctx, request_id))


def _rest(ctx: Context, request_id: str) -> Iterator[Finding]:
    if told := rest(ctx, request_id).tasks:
        yield Finding(request_id, f"tasks {told} went on while it is paused", "the pause had not arrived", True)


def _asleep(ctx: Context, repair: bool) -> Iterator[Finding]:
    """Running requests with tasks that rest: who resumed it died midway, or somebody paused them in the monitor."""
    for request_id in _with_tasks(ctx, RequestState.RUNNING, TaskRow.status == TaskStatus.PAUSED):
        yield from look_at(request_id, _wake(ctx, request_id, repair))


def _wake(ctx: Context, request_id: str, repair: bool) -> Iterator[Finding]:
    if repair:
        tell_tasks(ctx, request_id, lambda task: ctx.panda.resume(task))
    what, cause = "its tasks rest in PanDA while it is running", "the resume had not arrived, or they were paused there"
    yield Finding(request_id, what, cause, repair, f"to let it rest: prodsys request pause {request_id}")


def _unheard(ctx: Context, repair: bool) -> Iterator[Finding]:
    """Answers of people that runs may not have heard: Airflow was away, or who answered died before telling it."""
    for request_id, words in wake_answered(ctx) if repair else ():
        yield Finding(request_id, words, "the answer had not arrived", True)


def _with_tasks(ctx: Context, state: RequestState, seen: ColumnElement[bool]) -> Sequence[str]:
    """Requests in this state with tasks that have not ended and were seen so."""
    wanted = (
        select(RequestRow.request_id)
        .join(StepRow, StepRow.request_id == RequestRow.request_id)
        .join(TaskRow, TaskRow.step_id == StepRow.step_id)
        .where(RequestRow.state == state, TaskRow.jedi_task_id.is_not(None), ~TaskRow.final, seen)
    )
    with transaction(ctx.sessions) as session:
        return session.scalars(wanted.distinct()).all()
