"""A run that Prodsys did not start itself: a person triggered it in Airflow, on its page or by its REST API.

It passes the checks of a launch: the right of the person, the limit of running requests, the time before which the
request must not start. What Prodsys started was checked then; a run that drove the request before may go on with it
(who may clear what is Airflow's to say), within the limit.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Self

from sqlalchemy import select
from sqlalchemy.orm import Session

from prodsys.actions.core.acting_user import acting_at_airflow
from prodsys.actions.core.context import Context
from prodsys.actions.runs.launching import run_id_of
from prodsys.errors import NotAllowed
from prodsys.ledger.requests import count_running
from prodsys.ledger.tables import AuditRow, RequestRow
from prodsys.model.statuses import DRIVEN, RequestState
from prodsys.model.times import utc_minutes
from prodsys.model.transitions import Permission

BEFORE_A_RUN = frozenset({RequestState.APPROVED, RequestState.DELAYED, RequestState.READY})
AFTER_A_RUN = DRIVEN | {RequestState.FAILED}  # a failed one, or one whose run is over without a word


@dataclass(frozen=True)
class RunStart:
    """A run at its gate."""

    request_id: str
    run: tuple[str, str]  # ids of the DAG and the run
    triggered_by: str | None
    state: RequestState
    has_name: bool  # that launching gives to the run it starts
    launched: bool  # a place among the running requests was taken for it
    drove: bool  # it drove the request before

    @classmethod
    def of(cls, session: Session, row: RequestRow, run: tuple[str, str], triggered_by: str | None) -> Self:
        """The run as the ledger knows it now."""
        has_name = run[1] == run_id_of(row)
        return cls(
            row.request_id,
            run,
            triggered_by,
            RequestState(row.state),
            has_name,
            launched=has_name and _has_place(row),
            drove=_drove(session, row.request_id, run[1]),
        )

    @property
    def remedy(self) -> str:
        """Command that does properly what was tried."""
        return f"prodsys request {'retry' if self.state is RequestState.FAILED else 'launch'} {self.request_id}"


def check_person(ctx: Context, start: RunStart) -> str:
    """Why the person who triggered the run may not start it; "" when he may, or nobody has to.

    Raises
    ------
    AirflowUnavailable, AirflowRefused
        Airflow does not tell the roles of the person.
    """
    if start.launched or start.drove or start.state not in BEFORE_A_RUN | AFTER_A_RUN:
        return ""
    who = start.triggered_by
    if not who:
        return f"Airflow does not tell who started this run of {start.request_id}; {start.remedy}"
    if who == ctx.airflow.user:
        if start.has_name and start.state is RequestState.READY:
            return ""  # launching started it, and gave the place back because it had not heard so
        return f"{who} is a service account and starts nothing by itself: {start.remedy}"
    right = Permission.LAUNCH if start.state in BEFORE_A_RUN else Permission.REPAIR
    try:
        acting_at_airflow(ctx, who).check_permission(f"start a run of {start.request_id}", right)
    except NotAllowed as refused:
        return f"{refused}; whoever has it: {start.remedy}"
    return ""


def why_not_now(session: Session, ctx: Context, row: RequestRow, start: RunStart) -> str:
    """Why the run may not start now, in the transaction that holds request and places; "" when it may."""
    state, limit = RequestState(row.state), ctx.catalogue.policy.running_limit
    if state is RequestState.DELAYED and row.not_before is not None and row.not_before > datetime.now(UTC):
        when = utc_minutes(row.not_before)
        return f"{row.request_id} is not to start before {when}; to start it now: {start.remedy}"
    counted = state in DRIVEN or _has_place(row)
    if counted or _is_launchs_own(ctx, start) or count_running(session) < limit:
        return ""
    return f"{limit} requests are running, {row.request_id} has to wait for its turn: {start.remedy}"


def _is_launchs_own(ctx: Context, start: RunStart) -> bool:
    return start.has_name and start.state is RequestState.READY and start.triggered_by == ctx.airflow.user


def _has_place(row: RequestRow) -> bool:
    return RequestState(row.state) is RequestState.READY and row.launched_at is not None


def _drove(session: Session, request_id: str, dag_run_id: str) -> bool:
    wanted = select(AuditRow.audit_id).where(
        AuditRow.request_id == request_id,
        AuditRow.action == "drive",
        AuditRow.detail["dag_run_id"].astext == dag_run_id,
    )
    return session.scalar(wanted.limit(1)) is not None
