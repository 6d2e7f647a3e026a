"""Abort: a person's decision to stop a request; its PanDA tasks are killed, its run ends."""

from __future__ import annotations

from prodsys.actions.context import Context
from prodsys.actions.driving import leave
from prodsys.errors import PandaRefused
from prodsys.ledger.journal import write_audit
from prodsys.ledger.requests import get_request, move
from prodsys.ledger.session import transaction
from prodsys.ledger.tasks import list_tasks
from prodsys.model.statuses import FINAL, RequestState, TaskStatus


def abort(ctx: Context, request_id: str, reason: str) -> list[int]:
    """Abort a request; ids of the PanDA tasks that were killed. Said again, what is still alive is killed again.

    The ledger says `aborted` before anything is killed, so nothing new is submitted meanwhile.

    Raises
    ------
    MoveRefused
        The request has ended already.
    PandaUnavailable
        PanDA is down: the request is aborted, the reconciler kills its tasks later.
    """
    ctx.check_right("abort", ctx.catalogue.policy.may_launch)
    with transaction(ctx.sessions) as session:
        row = get_request(session, request_id, lock=True)
        if RequestState(row.state) is not RequestState.ABORTED:
            move(row, RequestState.ABORTED, "abort", reason)
            leave(session, request_id, f"aborted by {ctx.who}")
            write_audit(session, ctx.who, "abort", request_id, reason=reason)
    return kill_tasks(ctx, request_id)


def kill_tasks(ctx: Context, request_id: str) -> list[int]:
    """Kill what still lives of a request in PanDA; a task that ended meanwhile is left alone."""
    with transaction(ctx.sessions) as session:
        tasks = [task for _, task in list_tasks(session, request_id) if task.jedi_task_id and not task.final]
        alive = [task.jedi_task_id for task in tasks if TaskStatus(task.status or "") not in FINAL]
    killed = []
    for jedi_task_id in alive:
        assert jedi_task_id is not None  # chosen so above
        try:
            ctx.panda.kill(jedi_task_id)
        except PandaRefused:
            continue
        killed.append(jedi_task_id)
    return killed
