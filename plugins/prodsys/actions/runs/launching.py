"""Launch: an approved request gets its DAG run, at once or when the limit of running ones allows it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from prodsys.actions.core.context import Context
from prodsys.actions.core.panda_commands import CommandResult, send_command
from prodsys.errors import AirflowUnavailable, ProductionError
from prodsys.ledger.journal import write_audit
from prodsys.ledger.requests import (
    approved_plan_row,
    count_running,
    due_requests,
    get_request,
    move,
    refusal,
    waiting_requests,
)
from prodsys.ledger.session import transaction
from prodsys.ledger.tables import AuditRow, RequestRow
from prodsys.model.names import dag_id_of
from prodsys.model.statuses import DELIVERED, DRIVEN, RequestState
from prodsys.model.times import utc_iso, utc_minutes
from prodsys.model.transitions import Action, Permission

ONE_DISPATCHER = 4_711_017  # key of the advisory lock
LOOK_AGAIN_S = 0.5


@dataclass(frozen=True)
class LaunchAnswer:
    """What launching did."""

    request_id: str
    started: bool  # False: waits as `ready` for the dispatcher
    dag_id: str
    dag_run_id: str
    message: str


def run_id_of(row: RequestRow) -> str:
    """Id of the run that launching starts: the same for the same start, so it cannot start twice."""
    return f"{row.request_id}-r{row.revision}" + (f".{row.runs}" if row.runs > 1 else "")


def launch(ctx: Context, request_id: str, *, wait: bool = True, not_before: datetime | None = None) -> LaunchAnswer:
    """Launch an approved request, now or when its time has come; launching it again changes nothing.

    Raises
    ------
    InvalidTransition
        The request is not approved.
    AirflowUnavailable
        Airflow did not show the DAG in time: the request is `ready`, the dispatcher will start it.
    """
    ctx.check_permission("launch", Permission.LAUNCH)
    if not_before is not None and not_before > datetime.now(UTC):
        return _delay(ctx, request_id, not_before)
    with transaction(ctx.sessions) as session:
        row = get_request(session, request_id, lock=True)
        if RequestState(row.state) in DRIVEN | DELIVERED:
            return _answer(row, started=True, message=f"{request_id} is {row.state} already")
        if RequestState(row.state) is not RequestState.READY:
            move(row, Action.LAUNCH)
            row.not_before = None
            write_audit(session, ctx.who, Action.LAUNCH, request_id)
    return start(ctx, request_id, wait=wait)


def _delay(ctx: Context, request_id: str, not_before: datetime) -> LaunchAnswer:
    """Launch at a time: the dispatcher makes it `ready` then."""
    with transaction(ctx.sessions) as session:
        row = get_request(session, request_id, lock=True)
        if row.launched_at is not None:
            raise refusal(row, "delaying a request whose run was started")
        if RequestState(row.state) is not RequestState.DELAYED or row.not_before != not_before:
            move(row, Action.DELAY)
            row.not_before = not_before
            write_audit(session, ctx.who, Action.DELAY, request_id, not_before=utc_iso(not_before))
        return _answer(row, started=False, message=f"waits until {utc_minutes(not_before)}")


def start(ctx: Context, request_id: str, *, wait: bool) -> LaunchAnswer:
    """Start the run of a `ready` request, when the limit allows it and Airflow shows its DAG."""
    with transaction(ctx.sessions) as session:
        row = _reserve(session, ctx, request_id)
        if row.launched_at is None:
            limit = ctx.catalogue.policy.running_limit
            return _answer(row, started=False, message=f"{limit} requests are running: it waits as ready")
    try:
        started = _start_when_shown(ctx, row, wait=wait and not ctx.dry_run)
    except ProductionError:
        _give_back(ctx, request_id)  # it may have started all the same: its id makes a second start harmless
        raise
    if started:
        return _answer(row, started=True, message="started")
    _give_back(ctx, request_id)
    return _answer(row, started=False, message="Airflow does not show its DAG yet: it waits as ready")


def _reserve(session: Session, ctx: Context, request_id: str) -> RequestRow:
    """Take one of the places of running requests, under a lock, so that two dispatchers never overfill them."""
    lock_places(session)
    row = get_request(session, request_id, lock=True)
    free = count_running(session) < ctx.catalogue.policy.running_limit
    if RequestState(row.state) is RequestState.READY and row.launched_at is None and free:
        row.launched_at = datetime.now(UTC)
    return row


def lock_places(session: Session) -> None:
    """Keep others from taking a place of running requests; before any row is locked."""
    session.execute(text("select pg_advisory_xact_lock(:key)"), {"key": ONE_DISPATCHER})


def _give_back(ctx: Context, request_id: str) -> None:
    with transaction(ctx.sessions) as session:
        row = get_request(session, request_id, lock=True)
        if RequestState(row.state) is RequestState.READY:
            row.launched_at = None


def _start_when_shown(ctx: Context, row: RequestRow, *, wait: bool) -> bool:
    """Whether the run was started; a busy Airflow is asked again until the profile's patience ends.

    Raises
    ------
    AirflowUnavailable
        With ``wait``: it did not show the DAG, or did not answer, in time.
    """
    with transaction(ctx.sessions) as session:
        digest = approved_plan_row(session, row.request_id).digest
    dag_id, note = dag_id_of(row.request_id), f"launched by {ctx.who}"
    end = time.monotonic() + (ctx.catalogue.profile.times.dag_visible_max_s if wait else 0)
    while True:
        try:
            if ctx.airflow.dag_ready(dag_id, digest):
                _resume_suspended(ctx, row.request_id)
                run = ctx.airflow.start_run(dag_id, run_id_of(row), conf={}, note=note)
                if not ctx.dry_run and run.is_terminal:  # one of this name that its gate turned away before
                    ctx.airflow.clear_run(dag_id, run_id_of(row))
                return True
            if time.monotonic() >= end and wait:
                raise AirflowUnavailable(
                    f"{dag_id} is not shown{_import_fault(ctx, row.request_id)}; it waits as ready"
                )
        except AirflowUnavailable:
            if time.monotonic() >= end:
                raise
        if not wait:
            return False
        time.sleep(LOOK_AGAIN_S)


def is_suspended(session: Session, request_id: str) -> bool:
    """Whether a request was paused and nobody resumed it since, whatever became of it: its DAG and tasks may rest."""
    asked = AuditRow.request_id == request_id, AuditRow.action.in_([Action.PAUSE, Action.RESUME])
    last = select(AuditRow.action).where(*asked).order_by(AuditRow.audit_id.desc()).limit(1)
    return session.scalar(last) == Action.PAUSE


def resume_tasks(ctx: Context, request_id: str) -> CommandResult:
    """Tell PanDA and Airflow that a request that was paused goes on."""
    told = send_command(ctx, request_id, lambda task: ctx.panda.resume(task))
    ctx.airflow.unpause_dag(dag_id_of(request_id))
    return told


def _resume_suspended(ctx: Context, request_id: str) -> None:
    """What failed while it was paused goes on: the run of a paused DAG would be queued for ever."""
    with transaction(ctx.sessions) as session:
        if not is_suspended(session, request_id):
            return
    resume_tasks(ctx, request_id)
    with transaction(ctx.sessions) as session:
        write_audit(session, ctx.who, Action.RESUME, request_id, reason="its run is started again")


def _import_fault(ctx: Context, request_id: str) -> str:
    """Why Airflow cannot read the DAG of a request, in the last line of its trace; "" when it says nothing."""
    for fault in ctx.airflow.import_errors():
        if dag_id_of(request_id) in fault.filename:
            return f" (Airflow cannot read it: {fault.stack_trace.strip().splitlines()[-1]})"
    return ""


def _answer(row: RequestRow, *, started: bool, message: str) -> LaunchAnswer:
    return LaunchAnswer(row.request_id, started, dag_id_of(row.request_id), run_id_of(row), message)


def dispatch(ctx: Context) -> list[LaunchAnswer]:
    """Start ready requests, the most urgent first, within the limit; what an outage kept waiting starts now, once."""
    with transaction(ctx.sessions) as session:
        for row in due_requests(session, datetime.now(UTC)):
            move(row, Action.LAUNCH)
            write_audit(session, ctx.who, Action.LAUNCH, row.request_id, due=str(row.not_before))
            row.not_before = None
        session.flush()
        waiting = [row.request_id for row in waiting_requests(session)]
    return [_start_alone(ctx, request_id) for request_id in waiting]


def _start_alone(ctx: Context, request_id: str) -> LaunchAnswer:
    """Start one request; one that cannot start keeps none of the others from it."""
    try:
        return start(ctx, request_id, wait=False)
    except ProductionError as error:
        with transaction(ctx.sessions) as session:
            return _answer(get_request(session, request_id), started=False, message=f"waits as ready: {error}")
