"""Intents: which tasks a step needs, written down before anything is sent (DESIGN decision 5)."""

from __future__ import annotations

from sqlalchemy.orm import Session

from prodsys.actions.context import Context
from prodsys.actions.orders import build_order
from prodsys.errors import RequestUnavailable
from prodsys.ledger.journal import write_audit
from prodsys.ledger.requests import approved_plan, get_request, get_step, refusal
from prodsys.ledger.session import transaction
from prodsys.ledger.tables import TaskRow
from prodsys.ledger.tasks import newest_task, to_multirange
from prodsys.model import seeds as seeds_of
from prodsys.model.statuses import IntentState, RequestState
from prodsys.panda.task_map import build_reco_map, build_sim_map


def ensure_intents(ctx: Context, request_id: str, kind: str, bunch: int | None = None) -> tuple[TaskRow, ...]:
    """The tasks that a step needs now, as rows: those that were intended before, and those that are new.

    Raises
    ------
    RequestUnavailable
        The request is paused.
    MoveRefused
        Nobody drives it.
    StepFailed
        The step before delivered nothing.
    """
    with transaction(ctx.sessions) as session:
        _check_driven(session, request_id)
        step = get_step(session, request_id, kind, bunch)
        session.refresh(step, with_for_update=True)
        found = newest_task(session, request_id, kind)
        if found is not None:
            return (found,)
        order = build_order(session, ctx, approved_plan(session, request_id), kind)
        task = TaskRow(
            step_id=step.step_id,
            attempt=1,
            task_name=order.task_name,
            seeds=to_multirange(seeds_of.from_seeds(order.seeds)),
            task_map=build_reco_map(order) if order.inputs else build_sim_map(order),
            parent_tid=order.parent_tid,
            intent=IntentState.INTENDED,
            twins=[],
            status_reason="",
            sent_count=0,
            final=False,
        )
        session.add(task)
        write_audit(session, ctx.who, "intend", request_id, task_name=order.task_name, seeds=len(order.seeds))
        session.flush()
        return (task,)


def _check_driven(session: Session, request_id: str) -> None:
    """Nothing is submitted for a request that nobody drives: an abort wins over a run that has not heard of it."""
    row = get_request(session, request_id)
    if RequestState(row.state) is RequestState.PAUSED:
        raise RequestUnavailable(request_id, row.state)
    if RequestState(row.state) is not RequestState.RUNNING:
        raise refusal(row, "submitting")
