"""Compare the ledger with PanDA: statuses of tasks that may still change, and what was closed too early.

A pass asks PanDA once for all tasks changed since the last one, and for a few others one by one: open ones that are not
in that list, and adopted ones, which may be another user's. What ended longer ago than policy says is left alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Select, func, select, update

from prodsys.actions.closing.reopening import retry, settle_again
from prodsys.actions.core.context import Context
from prodsys.actions.reconciliation.findings import Finding, check_request
from prodsys.actions.submission.waiting import has_ended, record_status
from prodsys.errors import ProductionError
from prodsys.ledger.findings import get_look, set_look
from prodsys.ledger.session import transaction
from prodsys.ledger.tables import RequestRow, StepRow, TaskRow
from prodsys.ledger.tasks import is_open, list_all_tasks
from prodsys.model.statuses import DELIVERED, FINAL, IntentState, RequestState, TaskStatus

LOOK = "statuses"
_OPEN = (
    TaskRow.status.is_(None)
    | TaskRow.status.not_in([str(status) for status in FINAL])
    | TaskRow.retried_at.is_not(None)
)


def statuses(ctx: Context, repair: bool) -> Iterator[Finding]:
    """Tasks whose status in PanDA is not the one in the ledger."""
    now = datetime.now(UTC)
    seen = _modified(ctx, now)
    if seen is not None:
        seen |= {one: ctx.panda.status_or_unseen(one) for one in _not_listed(ctx, set(seen), now, repair)}
    for task, request in _tasks(ctx, seen or {}, now):
        status = (seen or {})[task.jedi_task_id or 0]
        if status not in {TaskStatus.UNSEEN, TaskStatus.UNKNOWN, task.status}:  # a word nobody knows is no news
            yield from check_request(request.request_id, _moved(ctx, task, request, status, repair))
    if repair and seen is not None:
        with transaction(ctx.sessions) as session:
            set_look(session, LOOK, seen_until=now)


def _modified(ctx: Context, now: datetime) -> dict[int, TaskStatus] | None:
    """Tasks that changed in PanDA since they were looked at; None when the ledger has none that matters."""
    window = timedelta(seconds=ctx.catalogue.profile.times.modified_window_s)
    with transaction(ctx.sessions) as session:
        first = session.scalar(_of_tasks(func.min(TaskRow.jedi_task_id), _matters(ctx, now)))
        seen_until = get_look(session, LOOK).seen_until or now
    if first is None:
        return None
    since = max(min(now, seen_until) - window, now - _kept(ctx) - window)
    return ctx.panda.list_modified(since, first)


def _not_listed(ctx: Context, listed: set[int], now: datetime, repair: bool) -> list[int]:
    """Tasks that the list of changed ones cannot be trusted with, those first that were not asked for longest.

    With ``repair`` they are noted as asked for: one at which PanDA breaks is not the first again the next time.
    """
    wanted = _of_tasks(TaskRow.jedi_task_id, (_OPEN | TaskRow.adopted) & _matters(ctx, now))
    wanted = wanted.where(TaskRow.jedi_task_id.not_in(listed)).order_by(TaskRow.looked_at.nulls_first())
    with transaction(ctx.sessions) as session:
        found = list(session.scalars(wanted.limit(ctx.catalogue.policy.reconcile.status_calls)))
        if repair and found:
            session.execute(update(TaskRow).where(TaskRow.jedi_task_id.in_(found)).values(looked_at=now))
        return found


def _tasks(ctx: Context, seen: dict[int, TaskStatus], now: datetime) -> list[tuple[TaskRow, RequestRow]]:
    if not seen:
        return []
    with transaction(ctx.sessions) as session:
        return list_all_tasks(
            session,
            TaskRow.jedi_task_id.in_(seen),
            RequestRow.state != RequestState.ARCHIVED,
            _matters(ctx, now),
        )


def _of_tasks(what: Any, condition: ColumnElement[bool]) -> Select[Any]:
    wanted = select(what).select_from(TaskRow).join(StepRow, StepRow.step_id == TaskRow.step_id)
    wanted = wanted.join(RequestRow, RequestRow.request_id == StepRow.request_id)
    return wanted.where(TaskRow.jedi_task_id.is_not(None), RequestRow.state != RequestState.ARCHIVED, condition)


def _matters(ctx: Context, now: datetime) -> ColumnElement[bool]:
    """Tasks that are open, or ended so lately that somebody may retry them."""
    return _OPEN | TaskRow.status_at.is_(None) | (TaskRow.status_at > now - _kept(ctx))


def _kept(ctx: Context) -> timedelta:
    return timedelta(days=ctx.catalogue.policy.reconcile.ended_days)


def _moved(ctx: Context, task: TaskRow, request: RequestRow, now: TaskStatus, repair: bool) -> Iterator[Finding]:
    what = f"task {task.jedi_task_id} ({task.task_name}) is {now}, the ledger says {task.status}"
    if _had_ended(task) and request.state != RequestState.ABORTED:
        yield _reopened(ctx, task, request, now, what, repair)
        return
    if repair:
        try:
            record_status(ctx, task.jedi_task_id or 0, now)
        except ProductionError as error:
            yield Finding(request.request_id, what, str(error), False, "look at the task", subject=task.task_name)
            return
    yield Finding(request.request_id, what, "the ledger had not heard yet", repair)


def _had_ended(task: TaskRow) -> bool:
    """Whether what is new of the task came after an end that may have been settled, and not by a retry of ours."""
    return has_ended(task) and task.intent != IntentState.SPENT


def _reopened(ctx: Context, task: TaskRow, request: RequestRow, now: TaskStatus, what: str, repair: bool) -> Finding:
    """A task that had ended works again, or did: the request is settled again, a certificate gets a new revision.

    Who dies in between leaves a task that is open in a closed request, which `unsettled` finds.
    """
    state, cause = RequestState(request.state), "somebody retried it in PanDA's monitor"
    if now in FINAL:
        cause = "it went on after it had ended"
    advice = "its request is settled again before it is closed"
    try:
        if repair:
            record_status(ctx, task.jedi_task_id or 0, now)
        if state in DELIVERED:
            advice = "its request is settled again and gets a new revision of its certificate"
            if repair:
                advice = settle_again(ctx, request.request_id, what, wait=False).message
        elif state is RequestState.FAILED:
            advice = "its request goes on"
            if repair:
                advice = retry(ctx, request.request_id, wait=False).message
    except ProductionError as error:
        return Finding(request.request_id, what, cause, False, str(error), subject=task.task_name)
    return Finding(request.request_id, what, cause, repair, advice)


def unsettled(ctx: Context, repair: bool) -> Iterator[Finding]:
    """Closed requests with a task that is open: it began again while the certificate was being written."""
    with transaction(ctx.sessions) as session:
        rows = list_all_tasks(
            session,
            RequestRow.state.in_([str(one) for one in DELIVERED]),
            ~TaskRow.final,
            TaskRow.intent != IntentState.SPENT,
        )
    found = {request.request_id: task for task, request in rows if is_open(task)}
    for request_id, task in found.items():
        yield from check_request(request_id, _settle_open(ctx, request_id, task, repair))


def _settle_open(ctx: Context, request_id: str, task: TaskRow, repair: bool) -> Iterator[Finding]:
    what = f"task {task.jedi_task_id} ({task.task_name}) has not been settled as it is, and the request is closed"
    advice = "settle the request again"
    if repair:
        advice = settle_again(ctx, request_id, what, wait=False).message
    yield Finding(request_id, what, "it began again while the request was being closed", repair, advice)
