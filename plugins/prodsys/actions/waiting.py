"""What a wait looks at and what it saw: the ledger keeps the last status of every task and rule."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import select

from prodsys.actions.context import Context
from prodsys.actions.twins import differences, kill_if_alive, settle_twins
from prodsys.errors import PandaError, PandaRoleMissing, PandaUnavailable, TaskEnded, TaskUnknown
from prodsys.ledger.journal import write_audit
from prodsys.ledger.session import transaction
from prodsys.ledger.tables import RuleRow, TaskRow
from prodsys.ledger.tasks import find_task, newest_task
from prodsys.model.outcome import TaskInfo
from prodsys.model.statuses import FINAL, IntentState, RuleState, TaskStatus

TASK_TYPE = "prod"  # what PanDA stores for a submission with the production role


@dataclass(frozen=True)
class WaitTarget:
    """A task to wait for."""

    jedi_task_id: int
    task_name: str
    status: TaskStatus


@dataclass(frozen=True)
class RuleTarget:
    """A rule to wait for: complete when OK with `copies` x `length` locks."""

    rule_id: str
    did: str
    copies: int
    length: int


@dataclass(frozen=True)
class RuleSeen:
    """What Rucio said about a rule."""

    state: RuleState
    locks_ok: int
    error: str = ""


def task_to_wait_for(ctx: Context, request_id: str, step: str) -> WaitTarget:
    """The task of a step that is to be waited for, with the status last seen.

    Raises
    ------
    PandaUnavailable
        The step has no task with an id yet: its submission is not settled.
    """
    with transaction(ctx.sessions) as session:
        task = newest_task(session, request_id, step)
        if task is None or task.jedi_task_id is None:
            raise PandaUnavailable(f"the submission of {request_id} {step} is not settled yet")
        return WaitTarget(task.jedi_task_id, task.task_name, TaskStatus(task.status or TaskStatus.UNSEEN))


def record_status(ctx: Context, jedi_task_id: int, status: TaskStatus, reason: str = "") -> WaitTarget | None:
    """Note what PanDA says of a task; the task to go on waiting for, or None when it is final.

    The first time JEDI shows the task it is compared with what was sent. One that JEDI ended as a duplicate of an
    earlier submission of ours is replaced by that one.

    Raises
    ------
    PandaRoleMissing
        PanDA stored it as somebody's analysis.
    PandaError
        The task under this id does other work than ours.
    """
    if status in {TaskStatus.UNSEEN, TaskStatus.UNKNOWN}:
        return _target(ctx, jedi_task_id)
    info = _look(ctx, jedi_task_id)
    reason = reason or info.error_dialog
    other = settle_twins(ctx, info, reason)
    if other is not None:
        return _target(ctx, other)
    _confirm(ctx, info)
    with transaction(ctx.sessions) as session:
        task = find_task(session, jedi_task_id, lock=True)
        if task is not None:
            task.status, task.status_reason, task.status_at = info.status, reason, datetime.now(UTC)
    return None if info.status in FINAL else _target(ctx, jedi_task_id)


def _look(ctx: Context, jedi_task_id: int) -> TaskInfo:
    try:
        return ctx.panda.get_task(jedi_task_id)
    except TaskUnknown as error:
        raise PandaUnavailable(f"task {jedi_task_id} was shown and is not shown any more") from error


def _target(ctx: Context, jedi_task_id: int) -> WaitTarget:
    with transaction(ctx.sessions) as session:
        task = find_task(session, jedi_task_id)
        if task is None:
            raise PandaError(f"task {jedi_task_id} is not in the ledger")
        return WaitTarget(jedi_task_id, task.task_name, TaskStatus(task.status or TaskStatus.UNSEEN))


def _confirm(ctx: Context, info: TaskInfo) -> None:
    """Compare what PanDA stored with what was sent, once."""
    with transaction(ctx.sessions) as session:
        task = find_task(session, info.jedi_task_id)
    if task is None or IntentState(task.intent) is not IntentState.RECORDED:
        return
    if info.status not in {TaskStatus.BROKEN, TaskStatus.TOBROKEN}:  # a broken map loses its attributes
        _check_stored(ctx, task, info)
    with transaction(ctx.sessions) as session:
        row = session.get(TaskRow, task.task_row_id, with_for_update=True)
        if row is not None and row.intent == IntentState.RECORDED:
            row.intent = IntentState.CONFIRMED
            detail = {"jedi_task_id": info.jedi_task_id, "user": info.user_name, "priority": info.priority}
            write_audit(session, ctx.who, "confirm", task.task_name.partition(".")[0], **detail)


def _check_stored(ctx: Context, task: TaskRow, info: TaskInfo) -> None:
    if info.task_type and info.task_type != TASK_TYPE:
        kill_if_alive(ctx, info.jedi_task_id)
        raise PandaRoleMissing(
            f"PanDA stored {task.task_name} as type {info.task_type} of user {info.user_name}: "
            f"the production role was lost; task {info.jedi_task_id} was killed"
        )
    unlike = differences(ctx, task, info.jedi_task_id)
    if unlike:
        raise PandaError(f"task {info.jedi_task_id} is not what was sent as {task.task_name}: {'; '.join(unlike[:3])}")


def ensure_final(ctx: Context, request_id: str, step: str) -> TaskRow:
    """The newest task of a step, read once more as final.

    Raises
    ------
    TaskEnded
        It ended without output.
    PandaUnavailable
        It is not final (any more): somebody retried it; wait for it again.
    """
    target = task_to_wait_for(ctx, request_id, step)
    still = record_status(ctx, target.jedi_task_id, _look(ctx, target.jedi_task_id).status)
    if still is not None:
        raise PandaUnavailable(f"task {still.jedi_task_id} of {request_id} {step} is {still.status}, not final")
    with transaction(ctx.sessions) as session:
        task = newest_task(session, request_id, step, lock=True)
        assert task is not None  # it was there a moment ago, rows of tasks are never deleted
        task.final = True
        status, reason, jedi_task_id = TaskStatus(task.status or ""), task.status_reason, target.jedi_task_id
    if status not in {TaskStatus.DONE, TaskStatus.FINISHED}:
        raise TaskEnded(jedi_task_id, status, reason)
    return task


def rules_to_wait_for(ctx: Context, request_id: str) -> tuple[RuleTarget, ...]:
    """All rules of a request, in the order of their datasets."""
    with transaction(ctx.sessions) as session:
        rows = session.scalars(select(RuleRow).where(RuleRow.request_id == request_id).order_by(RuleRow.did)).all()
        return tuple(RuleTarget(row.rule_id, row.did, row.copies, row.length) for row in rows)


def record_rules(ctx: Context, request_id: str, seen: Mapping[str, RuleSeen]) -> None:
    """Note what Rucio says of the rules of a request."""
    with transaction(ctx.sessions) as session:
        for row in session.scalars(select(RuleRow).where(RuleRow.request_id == request_id)):
            if (rule := seen.get(row.rule_id)) is not None:
                row.state, row.locks_ok, row.error = rule.state, rule.locks_ok, rule.error
                row.checked_at = datetime.now(UTC)
