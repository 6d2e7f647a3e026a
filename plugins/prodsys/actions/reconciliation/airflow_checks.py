"""Compare the ledger with Airflow: DAGs that rest though their request runs, runs that live though it was aborted."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import UTC, datetime, timedelta

from sqlalchemy import ColumnElement, select

from prodsys.actions.core.context import Context
from prodsys.actions.reconciliation.findings import Finding, check_request
from prodsys.actions.runs.run_ownership import state_of
from prodsys.ledger.session import transaction
from prodsys.ledger.tables import RequestRow, RunRow
from prodsys.model.names import dag_id_of
from prodsys.model.statuses import RequestState

AWAKE = frozenset({RequestState.READY, RequestState.RUNNING, RequestState.CLOSING})
DAG_PREFIX = dag_id_of("")
LIVING = ("queued", "running")  # Airflow's states of a run that goes on
RUNS_A_LOOK = 100  # runs that are asked for one by one; what is left has its turn in the next look


def resting_dags(ctx: Context, repair: bool) -> Iterator[Finding]:
    """Requests that run while their DAG is paused: who resumed it died midway, or somebody paused it in Airflow."""
    dags = _dags_of(ctx, AWAKE)
    for dag_id in sorted(ctx.airflow.list_paused_dags() & dags.keys()) if dags else ():
        yield from check_request(dags[dag_id], _unpause(ctx, dag_id, dags[dag_id], repair))


def _unpause(ctx: Context, dag_id: str, request_id: str, repair: bool) -> Iterator[Finding]:
    if repair:
        ctx.airflow.unpause_dag(dag_id)
    what, cause = f"its DAG {dag_id} is paused while it runs", "the resume had not arrived, or it was paused in Airflow"
    yield Finding(request_id, what, cause, repair, f"to let it rest: prodsys request pause {request_id}")


def runs_after_abort(ctx: Context, repair: bool) -> Iterator[Finding]:
    """Runs that go on though their request was aborted; most end by themselves when their task is killed."""
    before = datetime.now(UTC) - timedelta(seconds=ctx.catalogue.profile.times.dag_visible_max_s)
    living = [run for run in ctx.airflow.list_runs("~", LIVING) if run.dag_id.startswith(DAG_PREFIX)]
    ids = [run.dag_id.removeprefix(DAG_PREFIX) for run in living]
    dags = _dags_of(ctx, {RequestState.ABORTED}, RequestRow.request_id.in_(ids), RequestRow.changed_at < before)
    for run in living:
        if run.dag_id in dags:
            yield from check_request(dags[run.dag_id], _end(ctx, run.dag_id, run.dag_run_id, dags[run.dag_id], repair))


def _end(ctx: Context, dag_id: str, dag_run_id: str, request_id: str, repair: bool) -> Iterator[Finding]:
    if repair:
        ctx.airflow.set_run_state(dag_id, dag_run_id, "failed")
    yield Finding(request_id, f"run {dag_run_id} lived on after the abort", "it waited for something else", repair)


def ended_runs(ctx: Context, repair: bool) -> Iterator[Finding]:
    """Write down how runs ended that the ledger let go while they lived, as after an abort. Nothing to report."""
    wanted = select(RunRow.dag_id, RunRow.dag_run_id).where(~RunRow.driving, RunRow.airflow_state.in_(["", *LIVING]))
    with transaction(ctx.sessions) as session:
        left = session.execute(wanted.order_by(RunRow.entered_at.desc()).limit(RUNS_A_LOOK)).all() if repair else []
    for dag_id, dag_run_id in left:
        run = ctx.airflow.get_run(dag_id, dag_run_id)
        if run is None or run.is_terminal:
            _write_end(ctx, dag_id, dag_run_id, state_of(run))
    yield from ()


def _write_end(ctx: Context, dag_id: str, dag_run_id: str, airflow_state: str) -> None:
    with transaction(ctx.sessions) as session:
        row = session.get(RunRow, (dag_id, dag_run_id), with_for_update=True)
        if row is not None and not row.driving:
            row.airflow_state = airflow_state


def _dags_of(ctx: Context, states: Collection[RequestState], *conditions: ColumnElement[bool]) -> dict[str, str]:
    """DAG -> request, of the requests in these states that meet the conditions."""
    wanted = select(RequestRow.request_id).where(RequestRow.state.in_([str(one) for one in states]), *conditions)
    with transaction(ctx.sessions) as session:
        return {dag_id_of(one): one for one in session.scalars(wanted)}
