"""Turns at sending an intent: every change is a compare-and-set on its state and its owner, by the database's clock.

The owner of a turn is a word that is used once, so that a process which slept through its time cannot take somebody
else's turn for its own. The clock is the database's: senders on several hosts agree about when a turn is over.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, func, literal_column, select, update
from sqlalchemy.orm import Session

from prodsys.errors import RequestUnavailable
from prodsys.ledger.requests import refusal
from prodsys.ledger.tables import RequestRow, StepRow, TaskRow
from prodsys.model.statuses import IntentState, RequestState

NOW = func.clock_timestamp()
LONG_AGO: ColumnElement[datetime] = literal_column("'-infinity'::timestamptz")


def acquire_lease(session: Session, task: TaskRow, owner: str, answer_max_s: float) -> bool:
    """Begin to send; False when the intent is not any more as ``task`` shows it.

    Raises
    ------
    InvalidTransition, RequestUnavailable
        Nobody drives the request any more; an abort or a pause that comes now waits for this transaction.
    """
    request = _request_of(session, task)
    if RequestState(request.state) is RequestState.PAUSED:
        raise RequestUnavailable(request.request_id, request.state)
    if RequestState(request.state) is not RequestState.RUNNING:
        raise refusal(request, "submitting")
    values = {
        "intent": IntentState.SENDING,
        "owner": owner,
        "until": NOW + timedelta(seconds=answer_max_s),
        "first_sent_at": func.coalesce(TaskRow.first_sent_at, NOW),
        "sent_count": TaskRow.sent_count + 1,
    }
    return _change(session, task, values)


def release_lease(session: Session, task: TaskRow, owner: str) -> bool:
    """Undo `acquire_lease`: nothing was sent, so that the intent is again as ``task`` shows it."""
    values = {
        "intent": task.intent,
        "owner": task.owner,
        "until": task.until,
        "first_sent_at": task.first_sent_at,
        "sent_count": TaskRow.sent_count - 1,
    }
    mine = TaskRow.intent == IntentState.SENDING, TaskRow.owner == owner
    return _update(session, task.task_row_id, values, *mine)


def record_answer(session: Session, task_row_id: int, owner: str, jedi_task_id: int) -> bool:
    """Write down PanDA's answer to our own turn; False when the turn was over."""
    mine = TaskRow.intent == IntentState.SENDING, TaskRow.owner == owner
    return _update(session, task_row_id, _recorded(jedi_task_id), *mine)


def record_found(session: Session, task: TaskRow, jedi_task_id: int) -> bool:
    """Write down the task that PanDA showed; False when the intent is not any more as ``task`` shows it."""
    return _change(session, task, _recorded(jedi_task_id))


def mark_uncertain(session: Session, task: TaskRow) -> bool:
    """Let a turn whose time is over be in doubt; False while it has time, or when it is over otherwise."""
    over = func.coalesce(TaskRow.until, LONG_AGO) <= NOW
    return _change(session, task, {"intent": IntentState.IN_DOUBT}, over)


def has_time(session: Session, task: TaskRow) -> bool:
    """Whether somebody is sending the intent now and may still be answered."""
    wanted = select(TaskRow.task_row_id).where(
        TaskRow.task_row_id == task.task_row_id, TaskRow.intent == IntentState.SENDING, TaskRow.until > NOW
    )
    return session.execute(wanted).first() is not None


def doubted_longer_than(session: Session, task: TaskRow, doubt_max_s: float, answer_max_s: float) -> bool:
    """Whether the last sending lies further back than ``doubt_max_s``."""
    last = task.until - timedelta(seconds=answer_max_s) if task.until else task.first_sent_at or task.created_at
    now: datetime = session.execute(select(NOW)).scalar_one()
    return now - last >= timedelta(seconds=doubt_max_s)


def _recorded(jedi_task_id: int) -> dict[str, Any]:
    return {"intent": IntentState.RECORDED, "jedi_task_id": jedi_task_id, "until": None, "status_at": NOW}


def _request_of(session: Session, task: TaskRow) -> RequestRow:
    wanted = select(RequestRow).join(StepRow, StepRow.request_id == RequestRow.request_id)
    wanted = wanted.where(StepRow.step_id == task.step_id).with_for_update(read=True, of=RequestRow)
    return session.scalars(wanted.execution_options(populate_existing=True)).one()


def _change(session: Session, task: TaskRow, values: Mapping[str, Any], *more: ColumnElement[bool]) -> bool:
    unchanged = TaskRow.intent == task.intent, TaskRow.owner.is_not_distinct_from(task.owner)
    return _update(session, task.task_row_id, values, *unchanged, *more)


def _update(session: Session, task_row_id: int, values: Mapping[str, Any], *where: ColumnElement[bool]) -> bool:
    statement = update(TaskRow).where(TaskRow.task_row_id == task_row_id, ~TaskRow.final, *where)
    changed = session.execute(statement.values(**values).returning(TaskRow.task_row_id))
    return changed.first() is not None
