"""Pause and resume: the PanDA tasks of a request and its Airflow run rest, and go on, together."""

from __future__ import annotations

from dataclasses import replace

from prodsys.actions.core.context import Context
from prodsys.actions.core.panda_commands import CommandResult, kill_tasks, pause_tasks
from prodsys.actions.runs.launching import resume_tasks
from prodsys.ledger.journal import write_audit
from prodsys.ledger.requests import get_request, move
from prodsys.ledger.session import transaction
from prodsys.model.names import dag_id_of
from prodsys.model.statuses import RequestState
from prodsys.model.text import clean_reason
from prodsys.model.transitions import Action, Permission


def pause(ctx: Context, request_id: str, reason: str = "") -> CommandResult:
    """Let a running request rest; said again, what does not rest yet is told again.

    The ledger says `paused` first, so that nothing new is submitted meanwhile. A task that JEDI has not refined yet
    cannot be paused; the reconciler says it again.

    Raises
    ------
    InvalidTransition
        The request does not run.
    PandaUnavailable, AirflowUnavailable
        The request is paused in the ledger; the reconciler repeats the rest.
    """
    ctx.check_permission("pause", Permission.CONTROL)
    _change(ctx, request_id, Action.PAUSE, RequestState.PAUSED, clean_reason(reason))
    return suspend(ctx, request_id)


def suspend(ctx: Context, request_id: str) -> CommandResult:
    """Tell Airflow and PanDA that a paused request rests; one that somebody has resumed meanwhile is woken again.

    The run of one that has ended meanwhile is woken, so that it finds out; its tasks have been told something else.
    """
    ctx.airflow.pause_dag(dag_id_of(request_id))
    told = pause_tasks(ctx, request_id)
    state = _state(ctx, request_id)
    if state is RequestState.RUNNING:
        return _go_on(ctx, request_id)
    if state is RequestState.ABORTED:  # a kill may have come between our look and the pause, which wins over it
        told = kill_tasks(ctx, request_id)
    if state is not RequestState.PAUSED:
        ctx.airflow.unpause_dag(dag_id_of(request_id))
    return replace(told, state=state)


def _go_on(ctx: Context, request_id: str) -> CommandResult:
    """Wake a request that goes on; one that somebody has paused meanwhile rests again."""
    told = resume_tasks(ctx, request_id)
    return suspend(ctx, request_id) if _state(ctx, request_id) is RequestState.PAUSED else told


def _state(ctx: Context, request_id: str) -> RequestState:
    with transaction(ctx.sessions) as session:
        return RequestState(get_request(session, request_id).state)


def resume(ctx: Context, request_id: str) -> CommandResult:
    """Let a paused request go on; said again, what still rests is told again.

    Raises
    ------
    InvalidTransition
        The request is not paused.
    """
    ctx.check_permission("resume", Permission.CONTROL)
    _change(ctx, request_id, Action.RESUME, RequestState.RUNNING, "")
    return _go_on(ctx, request_id)


def _change(ctx: Context, request_id: str, act: Action, target: RequestState, reason: str) -> None:
    with transaction(ctx.sessions) as session:
        row = get_request(session, request_id, lock=True)
        if RequestState(row.state) is not target:
            move(row, act, reason)
            write_audit(session, ctx.who, act, request_id, reason=reason)
