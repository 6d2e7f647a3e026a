"""Seeds of a request that never reached PanDA come free when it ends, is withdrawn, rejected or deleted.

A task that was ever sent, or may have been, keeps all seeds of its request for ever: their events may exist.
"""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from prodsys.ledger.requests import get_revision
from prodsys.ledger.seeds import claimed_by, from_range, give_back, reserve, reserved_by
from prodsys.ledger.tables import RecurringRow, RequestRow, SeedReuseRow, StepRow, TaskRow
from prodsys.model import seeds as seed_ranges
from prodsys.model.seeds import SeedRange
from prodsys.model.statuses import IntentState


def reached_panda(session: Session, request_id: str) -> bool:
    """Whether a task of the request was sent to PanDA, or may have been; the caller has locked the request."""
    sent = (TaskRow.intent != IntentState.INTENDED) | (TaskRow.sent_count > 0) | TaskRow.jedi_task_id.is_not(None)
    wanted = select(TaskRow.task_row_id).join(StepRow, StepRow.step_id == TaskRow.step_id)
    return session.execute(wanted.where(StepRow.request_id == request_id, sent).limit(1)).first() is not None


def release_unused(session: Session, row: RequestRow, *, for_good: bool) -> tuple[SeedRange, ...]:
    """Give back what a request owns and PanDA never had; the seeds that are free again, () when there are none.

    Seeds that another request uses again, such as its trial, stay: the other one may have made their events. Those of
    a recurring template's request go back to the template, which keeps them from everybody else.

    Parameters
    ----------
    session
        The caller's transaction, in which the request is locked.
    row
        The request.
    for_good
        True: what it declared about seeds of others is forgotten, too.
    """
    if reached_panda(session, row.request_id):
        return ()
    used_again = session.scalars(select(SeedReuseRow.seeds).where(SeedReuseRow.owner == row.request_id))
    kept = [from_range(one) for one in used_again]
    free = seed_ranges.subtract(claimed_by(session, row.request_id), kept)
    configuration = get_revision(session, row.request_id).configuration
    give_back(session, configuration, row.request_id, free, reuse_too=for_good)
    template = session.get(RecurringRow, row.template) if row.template else None
    if template is not None and free:
        reserve(session, configuration, template.name, [*reserved_by(session, template.name), *free])
        return ()
    return free
