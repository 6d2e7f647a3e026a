"""What a wait looks at and what it saw: the ledger keeps the last status of every task and rule."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from prodsys.actions.core.context import Context
from prodsys.actions.core.panda_commands import kill_if_alive
from prodsys.actions.submission.duplicate_tasks import differences, settle_duplicates
from prodsys.actions.submission.output_datasets import look_once_at_outputs
from prodsys.errors import PandaError, PandaRefused, PandaRoleMissing, PandaUnavailable, TaskUnknown
from prodsys.ledger.journal import write_audit
from prodsys.ledger.requests import get_step
from prodsys.ledger.session import transaction
from prodsys.ledger.tables import RuleRow, TaskRow
from prodsys.ledger.tasks import find_task, list_step_tasks
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


def task_to_wait_for(ctx: Context, request_id: str, step: str, bunch: int | None = None) -> WaitTarget:
    """The task of a step that is to be waited for, with the status last seen: the earliest that has not ended.

    When all have ended, the latest.

    Raises
    ------
    PandaUnavailable
        The step has no task with an id yet: its submission is not settled.
    """
    with transaction(ctx.sessions) as session:
        tasks = _usable_tasks(session, request_id, step, bunch)
        if not tasks or any(task.jedi_task_id is None for task in tasks):
            raise PandaUnavailable(f"the submission of {request_id} {step} is not settled yet")
        return _as_target(next((task for task in tasks if not has_ended(task)), tasks[-1]))


def recovery_granted(ctx: Context, request_id: str, step: str, bunch: int | None = None) -> bool:
    """Whether a person asked for a round of recovery that has not begun, or one was begun before."""
    with transaction(ctx.sessions) as session:
        row = get_step(session, request_id, step, bunch)
        return bool(row.granted or row.rounds)


def has_ended(task: TaskRow) -> bool:
    """Whether the ledger has seen a final status of the task, and no retry of it is on its way."""
    return TaskStatus(task.status or TaskStatus.UNSEEN) in FINAL and task.retried_at is None


def _usable_tasks(session: Session, request_id: str, step: str, bunch: int | None) -> list[TaskRow]:
    found = list_step_tasks(session, get_step(session, request_id, step, bunch).step_id)
    return [task for task in found if task.intent != IntentState.SPENT]


def _as_target(task: TaskRow) -> WaitTarget:
    status = TaskStatus.TORETRY if task.retried_at else TaskStatus(task.status or TaskStatus.UNSEEN)
    return WaitTarget(task.jedi_task_id or 0, task.task_name, status)


def record_status(ctx: Context, jedi_task_id: int, status: TaskStatus, reason: str = "") -> WaitTarget | None:
    """Note what PanDA says of a task; the task to go on waiting for, or None when it is final.

    The first time JEDI shows the task it is compared with what was sent. One that JEDI ended as a duplicate of an
    earlier submission of ours is replaced by that one.

    Raises
    ------
    PandaRoleMissing
        PanDA stored it as somebody's analysis.
    PandaError
        The task under this id does other work than ours, or fills datasets of other names (OutputsUnknown).
    """
    if status in {TaskStatus.UNSEEN, TaskStatus.UNKNOWN}:
        return _target(ctx, jedi_task_id)
    return _record(ctx, _look(ctx, jedi_task_id), reason)


def _record(ctx: Context, info: TaskInfo, reason: str = "") -> WaitTarget | None:
    """Note what was seen; as `record_status`."""
    jedi_task_id, reason = info.jedi_task_id, reason or info.error_dialog
    other = settle_duplicates(ctx, info, reason)
    if other is not None:
        return _target(ctx, other)
    _confirm(ctx, info)
    with transaction(ctx.sessions) as session:
        task = find_task(session, jedi_task_id, lock=True)
        if task is not None:
            if info.status not in FINAL:  # it has begun again, if it had ended
                task.retried_at = None
            if info.status != task.status and task.final:  # another end than the settled one has to be settled, too
                _open_again(session, task)
            task.status, task.status_reason, task.status_at = info.status, reason, datetime.now(UTC)
    if task is not None:
        look_once_at_outputs(ctx, task)
    return None if info.status in FINAL else _target(ctx, jedi_task_id)


def _open_again(session: Session, task: TaskRow) -> None:
    """The task is not final any more. One whose seeds another open attempt has stays so: settle waits for both."""
    with suppress(IntegrityError), session.begin_nested():
        session.execute(update(TaskRow).where(TaskRow.task_row_id == task.task_row_id).values(final=False))
    session.refresh(task)


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
        return _as_target(task)


def _confirm(ctx: Context, info: TaskInfo) -> None:
    """Compare what PanDA stored with what was sent, once."""
    with transaction(ctx.sessions) as session:
        task = find_task(session, info.jedi_task_id)
    if task is None or IntentState(task.intent) is not IntentState.RECORDED:
        return
    if info.status is TaskStatus.REGISTERED:  # not refined yet: JEDI has not looked for twins
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


def tasks_at_rest(
    ctx: Context, request_id: str, step: str, bunch: int | None = None
) -> tuple[tuple[TaskRow, ...], WaitTarget | None]:
    """The tasks of a step, each read once more; and the first that is not final (any more), None when all are.

    Raises
    ------
    PandaUnavailable
        PanDA is away, or the step has a task without an id.
    """
    task_to_wait_for(ctx, request_id, step, bunch)  # every task has an id
    with transaction(ctx.sessions) as session:
        tasks = _usable_tasks(session, request_id, step, bunch)
    for task in tasks:
        assert task.jedi_task_id is not None  # looked at above
        still = _record(ctx, _look(ctx, task.jedi_task_id))
        if still is not None or _retry_is_coming(ctx, task):
            return tuple(tasks), still or _target(ctx, task.jedi_task_id)
    with transaction(ctx.sessions) as session:
        tasks = _usable_tasks(session, request_id, step, bunch)
        return tuple(tasks), _mark_final(session, tasks)


def _mark_final(session: Session, tasks: Sequence[TaskRow]) -> WaitTarget | None:
    """Mark the tasks as final, unless one has begun (again) since they were read: then the first of those."""
    for task in tasks:
        session.refresh(task, with_for_update=True)
        if task.jedi_task_id is None:
            raise PandaUnavailable(f"the submission of {task.task_name} is not settled yet")
        if not has_ended(task):
            return _as_target(task)
    for task in tasks:
        task.final = True
    return None


def _retry_is_coming(ctx: Context, task: TaskRow) -> bool:
    """Whether a retry that we asked for has not begun: the task still shows its old end, and no job is new.

    PanDA takes the command at once and carries it out when JEDI comes round, which may be stopped for an hour.
    """
    if task.retried_at is None:
        return False
    times, waited = ctx.catalogue.profile.times, datetime.now(UTC) - task.retried_at
    if waited < timedelta(seconds=times.doubt_max_s) and not _has_new_jobs(ctx, task):
        if waited > timedelta(seconds=times.finality_gap_s) and task.retries == 1:
            _retry_again(ctx, task)
        return True
    with transaction(ctx.sessions) as session:
        row = session.get(TaskRow, task.task_row_id, with_for_update=True)
        if row is not None:
            row.retried_at = None
    return False


def _retry_again(ctx: Context, task: TaskRow) -> None:
    """Say it once more: whoever said it first may have died before PanDA heard it. Said twice, JEDI does it once."""
    with transaction(ctx.sessions) as session:
        row = session.get(TaskRow, task.task_row_id, with_for_update=True)
        if row is None or row.retries != 1:
            return
        row.retries = 2
    with suppress(PandaRefused):
        ctx.panda.retry(task.jedi_task_id or 0)


def _has_new_jobs(ctx: Context, task: TaskRow) -> bool:
    return task.jedi_task_id is not None and len(ctx.panda.get_jobs(task.jedi_task_id)) > (task.job_count or 0)


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
