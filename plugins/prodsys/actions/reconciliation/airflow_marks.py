"""What a person failed in Airflow, seen within a minute: the run means the request, a task of a bunch that bunch.

A bunch that a person failed has its PanDA tasks killed; its words stand with the run and the request, and the other
bunches go on. When the run is over the request is `failed`, and `retry` or `recover` bring the bunch again.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from sqlalchemy import select

from prodsys.actions.core.context import Context
from prodsys.actions.core.panda_commands import kill_if_alive
from prodsys.actions.reconciliation.findings import Finding
from prodsys.actions.runs.run_ownership import note_failure
from prodsys.ledger.requests import list_steps
from prodsys.ledger.session import transaction
from prodsys.ledger.tables import RunRow
from prodsys.ledger.tasks import list_step_tasks
from prodsys.model.statuses import DEAD, FINAL, IntentState, TaskStatus
from prodsys.orchestrator.entries import RunInfo
from prodsys.orchestrator.marks import ALL_DAGS, EVENTS, FAILED, StandingFailure, standing_failures

OF_BUNCH = re.compile(r"b(\d{3,})\.")  # how the ids of the airflow tasks of a bunch begin


def list_marks(ctx: Context, row: RunRow, run: RunInfo) -> tuple[StandingFailure, ...]:
    """What persons failed of a run and did not take back."""
    failed = ctx.airflow.list_task_instances(row.dag_id, row.dag_run_id, (FAILED,))
    if not failed and run.airflow_state != FAILED:
        return ()
    entries = [
        entry
        for dag_id in (row.dag_id, ALL_DAGS)
        for entry in ctx.airflow.event_log(dag_id, row.entered_at, events=EVENTS)
    ]
    return standing_failures(run, failed, entries, ctx.airflow.user)


def is_fresh(ctx: Context, mark: StandingFailure) -> bool:
    """Whether the mark is so young that who made it by mistake may still be taking it back."""
    age = datetime.now(UTC) - mark.entry.when
    return age.total_seconds() < ctx.catalogue.profile.times.mark_stands_s


def mark_of_request(marks: Sequence[StandingFailure]) -> StandingFailure | None:
    """The first mark that means the whole request, or None."""
    return next((mark for mark in marks if bunch_of(mark) is None), None)


def bunch_of(mark: StandingFailure) -> int | None:
    """The bunch whose airflow task was failed; None for the run, or an airflow task that belongs to no bunch."""
    found = OF_BUNCH.match(mark.task_id)
    return int(found[1]) if found else None


def has_bunches(ctx: Context, request_id: str) -> bool:
    """Whether the request runs in bunches."""
    with transaction(ctx.sessions) as session:
        return any(step.bunch is not None for step in list_steps(session, request_id))


def end_bunches(ctx: Context, row: RunRow, marks: Sequence[StandingFailure], repair: bool) -> Iterator[Finding]:
    """End the bunches of which a person failed an airflow task; once, and again while a PanDA task of one lives."""
    first: dict[int, StandingFailure] = {}
    for mark in marks:
        bunch = bunch_of(mark)
        if bunch is not None and not is_fresh(ctx, mark):
            first.setdefault(bunch, mark)
    for bunch, mark in first.items():
        yield from _end_bunch(ctx, row, bunch, mark, repair)


def _end_bunch(ctx: Context, row: RunRow, bunch: int, mark: StandingFailure, repair: bool) -> Iterator[Finding]:
    reason = f"bunch {bunch}: {mark.entry.owner} failed {mark.task_id} in Airflow"
    alive, known = _live_tasks(ctx, row.request_id, bunch), _is_noted(ctx, row, reason)
    if known and not alive:
        return
    if repair:
        told = [one for one in alive if kill_if_alive(ctx, one)]  # one that is not refined yet: next time
        if known and not told:
            return
        if not known:
            note_failure(ctx, row.request_id, row.dag_id, row.dag_run_id, reason, bunch)
    advice = "its PanDA tasks are killed; the other bunches go on"
    yield Finding(row.request_id, reason, "a person's decision in Airflow", repair, advice, subject=f"bunch {bunch}")


def _live_tasks(ctx: Context, request_id: str, bunch: int) -> list[int]:
    """PanDA's ids of the tasks of a bunch that have not ended and are not about to."""
    with transaction(ctx.sessions) as session:
        steps = [step for step in list_steps(session, request_id) if step.bunch == bunch]
        tasks = [task for step in steps for task in list_step_tasks(session, step.step_id)]
    return [
        task.jedi_task_id
        for task in tasks
        if task.jedi_task_id is not None
        and task.intent != IntentState.SPENT
        and TaskStatus(task.status or TaskStatus.UNSEEN) not in FINAL | DEAD
    ]


def _is_noted(ctx: Context, row: RunRow, reason: str) -> bool:
    with transaction(ctx.sessions) as session:
        wanted = select(RunRow.note).where(RunRow.dag_id == row.dag_id, RunRow.dag_run_id == row.dag_run_id)
        return reason in (session.scalar(wanted) or "")
