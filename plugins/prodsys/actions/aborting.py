"""Abort: a person's decision to stop a request; its PanDA tasks are killed, its run ends."""

from __future__ import annotations

from prodsys.actions.context import Context
from prodsys.actions.driving import leave
from prodsys.errors import PandaRefused
from prodsys.ledger.journal import write_audit
from prodsys.ledger.requests import get_request, move
from prodsys.ledger.session import transaction
from prodsys.ledger.tasks import open_task_ids
from prodsys.model.moves import Act, Right
from prodsys.model.statuses import RequestState


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
    ctx.check_right("abort", Right.ABORT)
    with transaction(ctx.sessions) as session:
        row = get_request(session, request_id, lock=True)
        if RequestState(row.state) is not RequestState.ABORTED:
            move(row, Act.ABORT, reason)
            leave(session, request_id, f"aborted by {ctx.who}")
            write_audit(session, ctx.who, "abort", request_id, reason=reason)
    return kill_tasks(ctx, request_id)


def kill_tasks(ctx: Context, request_id: str) -> list[int]:
    """Kill what still lives of a request in PanDA; a task that ended meanwhile is left alone."""
    with transaction(ctx.sessions) as session:
        alive = open_task_ids(session, request_id)
    killed = []
    for jedi_task_id in alive:
        try:
            ctx.panda.kill(jedi_task_id)
        except PandaRefused:
            continue
        killed.append(jedi_task_id)
    return killed
