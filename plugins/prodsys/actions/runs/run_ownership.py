"""Who drives a request: one run at a time; a second one is told so and ends.

A run that a person started in Airflow passes the same checks as a launch: see `actions/runs/run_starts.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from prodsys.actions.core.context import Context
from prodsys.actions.runs.launching import lock_places, run_id_of
from prodsys.actions.runs.run_starts import RunStart, check_person, why_not_now
from prodsys.ledger.journal import write_audit
from prodsys.ledger.questions import drop_questions
from prodsys.ledger.requests import get_request, move, newest_certificate
from prodsys.ledger.session import transaction
from prodsys.ledger.tables import RequestRow, RunRow
from prodsys.model.statuses import DELIVERED, DRIVEN, RequestState
from prodsys.model.transitions import Action
from prodsys.orchestrator.entries import RunInfo

WORDS_LENGTH = 2000  # of what failed, kept with the run and the request
GONE = "gone"  # state of a run that Airflow does not know any more
ENTERABLE = DRIVEN | {RequestState.APPROVED, RequestState.DELAYED, RequestState.READY, RequestState.FAILED}


@dataclass(frozen=True)
class GateAnswer:
    """Whether the run drives the request; if not, why."""

    drive: bool
    message: str
    delivered: bool = False  # there is nothing left to drive


def enter(
    ctx: Context, request_id: str, revision: int, dag_id: str, dag_run_id: str, triggered_by: str | None = None
) -> GateAnswer:
    """May this run drive this request?  ``triggered_by`` is who started it, as Airflow tells.

    A complete request ends the run with its certificate; one that another live run drives ends it with that run's name;
    after a failure the run goes on where the ledger stands. A request that was started again waits for its new run: an
    earlier one, of which something still works, is told so and ends. A run that Prodsys did not start may take up what
    the person who triggered it may launch (or repair, after a failure), within the limit of running requests.
    """
    run = (dag_id, dag_run_id)
    with transaction(ctx.sessions) as session:
        other = active_run(session, request_id)
        seen = (other.dag_id, other.dag_run_id) if other else None
        start = RunStart.of(session, get_request(session, request_id), run, triggered_by)
    ended = _ended_state(ctx, *seen) if seen is not None and seen != run else ""
    refused = "" if seen == run else check_person(ctx, start)
    with transaction(ctx.sessions) as session:
        if seen != run:
            lock_places(session)
        row = get_request(session, request_id, lock=True)
        current = active_run(session, request_id)
        if ended and current and (current.dag_id, current.dag_run_id) == seen:
            current.driving, current.note, current.airflow_state = False, f"its run was over when {run[1]} came", ended
            session.flush()
            current = None
        answer = _decide(session, row, revision, current, run)
        if answer.drive and current is None and (words := refused or why_not_now(session, ctx, row, start)):
            answer = GateAnswer(False, words)
        if answer.drive:
            _acquire_run(session, ctx, row, start, current)
        elif session.get(RunRow, run) is None:
            session.add(_run(row, run, driving=False, note=answer.message))
        return answer


def active_run(session: Session, request_id: str) -> RunRow | None:
    """The run that drives a request, or None."""
    return session.scalars(select(RunRow).where(RunRow.request_id == request_id, RunRow.driving)).first()


def first_entry(session: Session, request_id: str) -> datetime | None:
    """When a run first came to the request: it was launched then, where the ledger does not say better."""
    return session.scalar(select(func.min(RunRow.entered_at)).where(RunRow.request_id == request_id))


def waiting_run(session: Session, request_id: str) -> RunRow | None:
    """The run that drives a request, else the last that did and was not seen to end: it may be parked in Airflow."""
    wanted = select(RunRow).where(RunRow.request_id == request_id, RunRow.airflow_state == "running")
    return session.scalars(wanted.order_by(RunRow.driving.desc(), RunRow.entered_at.desc()).limit(1)).first()


def state_of(run: RunInfo | None) -> str:
    """Airflow's state of a run, ``gone`` when Airflow has none."""
    return run.airflow_state if run is not None else GONE


def _ended_state(ctx: Context, dag_id: str, dag_run_id: str) -> str:
    """Airflow's state of a run that is over; "" while it lives."""
    run = ctx.airflow.get_run(dag_id, dag_run_id)
    return state_of(run) if run is None or run.is_terminal else ""


def _decide(
    session: Session, row: RequestRow, revision: int, driver: RunRow | None, run: tuple[str, str]
) -> GateAnswer:
    state = RequestState(row.state)
    if state in DELIVERED:
        path = _certificate_path(session, row.request_id)
        return GateAnswer(False, f"{row.request_id} is {state}: {path}", delivered=True)
    if revision != row.revision:
        return GateAnswer(False, f"this DAG is of revision {revision}, the request is at revision {row.revision}")
    if state not in ENTERABLE:
        return GateAnswer(False, f"{row.request_id} is {state}: nothing to drive")
    if driver is not None and (driver.dag_id, driver.dag_run_id) != run:
        return GateAnswer(False, f"{row.request_id} is driven by run {driver.dag_run_id}")
    if _was_replaced(session, row, run):
        return GateAnswer(False, f"{row.request_id} was started again: run {run_id_of(row)} drives it")
    return GateAnswer(True, f"drives {row.request_id}, which was {state}")


def _was_replaced(session: Session, row: RequestRow, run: tuple[str, str]) -> bool:
    """Whether this is an earlier run of a request that a person opened again."""
    if RequestState(row.state) is not RequestState.READY or row.runs == 1 or run[1] == run_id_of(row):
        return False
    found = session.get(RunRow, run)
    return found is not None and not found.driving


def _certificate_path(session: Session, request_id: str) -> str:
    found = newest_certificate(session, request_id)
    return f"certificate {found.path}" if found else "no certificate yet"


def _acquire_run(session: Session, ctx: Context, row: RequestRow, start: RunStart, driver: RunRow | None) -> None:
    run = start.run
    if RequestState(row.state) in {RequestState.APPROVED, RequestState.DELAYED}:
        move(row, Action.LAUNCH)
        row.not_before = None
        write_audit(session, start.triggered_by or ctx.who, Action.LAUNCH, row.request_id, dag_run_id=run[1])
    if row.launched_at is None:
        row.launched_at = datetime.now(UTC)
    if RequestState(row.state) in {RequestState.READY, RequestState.FAILED}:
        move(row, Action.DRIVE)
    if driver is None:
        found = session.get(RunRow, run)
        if found is None:
            session.add(_run(row, run, driving=True, note=""))
        else:
            found.driving, found.note, found.airflow_state = True, "", "running"
        write_audit(session, ctx.who, "drive", row.request_id, dag_run_id=run[1])


def _run(row: RequestRow, run: tuple[str, str], *, driving: bool, note: str) -> RunRow:
    return RunRow(
        dag_id=run[0],
        dag_run_id=run[1],
        request_id=row.request_id,
        revision=row.revision,
        driving=driving,
        airflow_state="running" if driving else "success",  # turned away it skips everything and is over
        note=note,
    )


def release_run(session: Session, request_id: str, note: str, airflow_state: str | None = None) -> None:
    """The driving run lets go, in the caller's transaction; what it asked nobody has to answer any more.

    ``airflow_state`` is the one in which the run ends; without it the run still has to find out, and the reconciler
    writes down how it ended.
    """
    drop_questions(session, request_id, f"the run ended: {note}")
    driver = active_run(session, request_id)
    if driver is not None:
        driver.driving, driver.note = False, note
        driver.airflow_state = airflow_state or driver.airflow_state
        session.flush()


def note_failure(
    ctx: Context,
    request_id: str,
    dag_id: str,
    dag_run_id: str,
    reason: str,
    bunch: int | None = None,
    airflow_state: str = "failed",
) -> str:
    """What the run was doing ended in failure; without a bunch it is the run itself that is over.

    Returns what failed in this run until now, "" when it does not drive the request.

    A run lives as long as one of its bunches works, and so does the request: a bunch that fails takes only its own
    question with it, and its words stand with the run and the request, whose state stays as it is. When the run is over
    (the reconciler sees that within a minute) the request is `failed` with the words of all; then another run may go on
    with it.
    """
    with transaction(ctx.sessions) as session:
        row = get_request(session, request_id, lock=True)
        driver = active_run(session, request_id)
        if driver is None or (driver.dag_id, driver.dag_run_id) != (dag_id, dag_run_id):
            return ""
        words = joined(driver.note, reason)
        if bunch is None:
            release_run(session, request_id, words, airflow_state)
            if RequestState(row.state) in DRIVEN:
                move(row, Action.FAIL, words)
        else:
            drop_questions(session, request_id, f"the bunch failed: {reason}", bunch)
            driver.note = row.reason = words
        write_audit(session, ctx.who, "fail", request_id, dag_run_id=dag_run_id, reason=words, bunch=bunch)
        return words


def joined(before: str, reason: str) -> str:
    """What failed before in this run, and what failed now; a failure that is told twice stands there once."""
    new = [] if reason in before else [reason]
    return "; ".join([*([before] if before else []), *new])[:WORDS_LENGTH]


def start_closing(ctx: Context, request_id: str) -> None:
    """All steps are settled: the request is `closing`; said again, nothing changes."""
    with transaction(ctx.sessions) as session:
        row = get_request(session, request_id, lock=True)
        if RequestState(row.state) is RequestState.RUNNING:
            move(row, Action.CLOSE)
            write_audit(session, ctx.who, "close", request_id)
