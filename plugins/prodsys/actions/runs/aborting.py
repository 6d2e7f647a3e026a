"""Abort: a person's decision to stop a request; its PanDA tasks are killed, its run ends."""

from __future__ import annotations

from prodsys.actions.core.context import Context
from prodsys.actions.core.panda_commands import CommandResult, kill_tasks
from prodsys.actions.requests.seed_release import release_unused
from prodsys.actions.runs.launching import is_suspended
from prodsys.actions.runs.run_ownership import release_run
from prodsys.ledger.journal import write_audit
from prodsys.ledger.requests import get_request, move
from prodsys.ledger.session import transaction
from prodsys.model import seeds as seed_ranges
from prodsys.model.names import dag_id_of
from prodsys.model.statuses import RequestState
from prodsys.model.text import clean_reason
from prodsys.model.transitions import Action, Permission


def abort(ctx: Context, request_id: str, reason: str) -> CommandResult:
    """Abort a request and kill its PanDA tasks. Said again, what is still alive is killed again.

    The ledger says `aborted` before anything is killed, so nothing new is submitted meanwhile. The DAG of a paused
    request is woken: its run, which would stay alive for ever, finds out and ends. Seeds that PanDA never
    had come free.

    Raises
    ------
    InvalidTransition
        The request has ended already.
    PandaUnavailable
        PanDA is down: the request is aborted, the reconciler kills its tasks later.
    AirflowUnavailable
        It was paused, and Airflow is down: it is aborted, its tasks are killed; say it again to end its run.
    """
    ctx.check_permission("abort", Permission.ABORT)
    reason = clean_reason(reason)
    with transaction(ctx.sessions) as session:
        row = get_request(session, request_id, lock=True)
        if RequestState(row.state) is not RequestState.ABORTED:
            move(row, Action.ABORT, reason)
            release_run(session, request_id, f"aborted by {ctx.who}")
            free = release_unused(session, row, for_good=True)
            write_audit(session, ctx.who, "abort", request_id, reason=reason, seeds_free=seed_ranges.show(free))
    try:
        return kill_tasks(ctx, request_id)
    finally:
        with transaction(ctx.sessions) as session:
            asleep = is_suspended(session, request_id)
        if asleep:
            ctx.airflow.unpause_dag(dag_id_of(request_id))
