"""Reconcile, every minute: compare ledger, Airflow and PanDA, name every disagreement, repair what is safe.

Safe is to re-read a status, to adopt a known id, to link a run again. A person's "failed" in Airflow that stands means
abort; anything else that Airflow did to a wait is left alone (DESIGN decisions 6 and 14). One pass asks as much as
there is work under way, however long the history is; what takes longer is compared every hour (`comparing`).
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta

from sqlalchemy import ColumnElement, select

from prodsys.actions.core.context import Context
from prodsys.actions.core.panda_commands import kill_tasks, send_command
from prodsys.actions.reconciliation.airflow_checks import ended_runs, resting_dags, runs_after_abort
from prodsys.actions.reconciliation.airflow_marks import end_bunches, has_bunches, is_fresh, list_marks, mark_of_request
from prodsys.actions.reconciliation.duplicate_task_watch import find_uncertain_submissions
from prodsys.actions.reconciliation.findings import Check, Finding, check_request, keep_findings, run_check
from prodsys.actions.reconciliation.panda_checks import statuses, unsettled
from prodsys.actions.runs.aborting import abort
from prodsys.actions.runs.launching import run_id_of
from prodsys.actions.runs.pausing import suspend
from prodsys.actions.runs.run_ownership import note_failure, state_of
from prodsys.actions.settlement.step_questions import wake_answered
from prodsys.errors import ProductionError
from prodsys.ledger.session import transaction
from prodsys.ledger.tables import RequestRow, RunRow, StepRow, TaskRow
from prodsys.ledger.tasks import list_tasks
from prodsys.model.names import dag_id_of
from prodsys.model.statuses import FINAL, WITH_OUTPUT, RequestState, TaskStatus
from prodsys.orchestrator.entries import RunInfo
from prodsys.orchestrator.marks import FAILED, StandingFailure

log = logging.getLogger(__name__)


def reconcile(ctx: Context, *, repair: bool) -> list[Finding]:
    """Disagreements that nobody has decided; with ``repair`` the safe ones are mended and the others stored.

    What is down or refuses hides only its part.
    """
    here: list[Check] = [_runs, _lost_starts, statuses, unsettled, _aborted, _paused, _asleep, _unheard]
    looked = [
        run_check(look, ctx, repair)
        for look in (*here, resting_dags, runs_after_abort, ended_runs, find_uncertain_submissions)
    ]
    if repair:
        return keep_findings(ctx, looked, closing=True)
    return [one for look in looked for one in look.found]


def _runs(ctx: Context, repair: bool) -> Iterator[Finding]:
    """Requests whose driving run is over, without the ledger knowing."""
    with transaction(ctx.sessions) as session:
        driven = session.scalars(select(RunRow).where(RunRow.driving)).all()
    for row in driven:
        yield from check_request(row.request_id, _run(ctx, row, repair))


def _run(ctx: Context, row: RunRow, repair: bool) -> Iterator[Finding]:
    run = ctx.airflow.get_run(row.dag_id, row.dag_run_id)
    over = run is None or run.is_terminal
    marks: Sequence[StandingFailure] = ()
    if run is not None and (run.airflow_state == FAILED or (not over and has_bunches(ctx, row.request_id))):
        marks = list_marks(ctx, row, run)
    yield from end_bunches(ctx, row, marks, repair)
    if over and not any(is_fresh(ctx, mark) for mark in marks):
        yield _over(ctx, row, run, mark_of_request(marks), repair)


def _over(ctx: Context, row: RunRow, run: RunInfo | None, mark: StandingFailure | None, repair: bool) -> Finding:
    if mark is not None:
        by, where = mark.entry.owner, f" at {mark.task_id}" if mark.task_id else ""
        what = f"run {row.dag_run_id} was failed by {by}{where}"
        if repair:
            abort(ctx, row.request_id, f"{by} failed it in Airflow{where} ({mark.entry.event})")
        return Finding(row.request_id, what, "a person's decision in Airflow", repair, "its PanDA tasks are killed")
    state = run.airflow_state if run else "gone from Airflow"
    if repair:
        reason = f"its run is {state} before the request ended{_last_words(ctx, row.request_id)}"
        words = note_failure(ctx, row.request_id, row.dag_id, row.dag_run_id, reason, airflow_state=state_of(run))
        if run is not None and words:
            _note(ctx, row, words)
    advice = f"start the DAG {row.dag_id} again: it goes on where the ledger stands"
    return Finding(
        row.request_id, f"run {row.dag_run_id} is {state}, the request has not ended", "Airflow", repair, advice
    )


def _note(ctx: Context, row: RunRow, words: str) -> None:
    """Say on the run why it failed; a note that cannot be written harms nothing."""
    try:
        ctx.airflow.set_run_note(row.dag_id, row.dag_run_id, words)
    except ProductionError as error:
        log.warning("run %s has no note %r: %s", row.dag_run_id, words, error)


def _last_words(ctx: Context, request_id: str) -> str:
    """What PanDA said of a task of the request that ended badly; "" when none did."""
    with transaction(ctx.sessions) as session:
        ended = [
            task for _, task in list_tasks(session, request_id) if TaskStatus(task.status or "") in FINAL - WITH_OUTPUT
        ]
    return "".join(f"; PanDA task {one.jedi_task_id} is {one.status}: {one.status_reason}" for one in ended)


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


def _aborted(ctx: Context, repair: bool) -> Iterator[Finding]:
    """Aborted requests with tasks that live on: PanDA was down, or did not know them yet."""
    not_ended = TaskRow.status.is_(None) | TaskRow.status.not_in([str(status) for status in FINAL])
    for request_id in _with_tasks(ctx, RequestState.ABORTED, not_ended) if repair else ():
        yield from check_request(request_id, _kill(ctx, request_id))


def _kill(ctx: Context, request_id: str) -> Iterator[Finding]:
    if killed := kill_tasks(ctx, request_id).tasks:
        yield Finding(request_id, f"tasks {killed} lived on after the abort", "the kill had not arrived", True)


def _paused(ctx: Context, repair: bool) -> Iterator[Finding]:
    """Paused requests with tasks that go on: PanDA was down, or JEDI had not refined them yet."""
    for request_id in _with_tasks(ctx, RequestState.PAUSED, TaskRow.status != TaskStatus.PAUSED):
        if repair:
            yield from check_request(request_id, _rest(ctx, request_id))


def _rest(ctx: Context, request_id: str) -> Iterator[Finding]:
    if told := suspend(ctx, request_id).tasks:
        yield Finding(request_id, f"tasks {told} went on while it is paused", "the pause had not arrived", True)


def _asleep(ctx: Context, repair: bool) -> Iterator[Finding]:
    """Running requests with tasks that rest: who resumed it died midway, or somebody paused them in the monitor."""
    for request_id in _with_tasks(ctx, RequestState.RUNNING, TaskRow.status == TaskStatus.PAUSED):
        yield from check_request(request_id, _wake(ctx, request_id, repair))


def _wake(ctx: Context, request_id: str, repair: bool) -> Iterator[Finding]:
    if repair:
        send_command(ctx, request_id, lambda task: ctx.panda.resume(task))
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
