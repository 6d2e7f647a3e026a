"""Which of PanDA's tasks is ours: after a lost answer, when JEDI ended a duplicate, and when two of them live.

Names decide nothing here: a task is ours when the whole map that PanDA holds of it is ours, its seeds included.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable

from sqlalchemy import select
from sqlalchemy.orm import Session

from prodsys.actions.core.context import Context
from prodsys.actions.core.panda_commands import kill_if_alive
from prodsys.errors import PandaError, PandaUnavailable
from prodsys.ledger.journal import write_audit
from prodsys.ledger.session import transaction
from prodsys.ledger.tables import TaskRow
from prodsys.ledger.tasks import find_task
from prodsys.model.outcome import TaskInfo
from prodsys.model.statuses import DEAD, FINAL, NOT_KILLED_IN, WITH_OUTPUT, IntentState, TaskStatus
from prodsys.panda.task_map import same_work

LOG = logging.getLogger(__name__)
_DUPLICATE = re.compile(r"duplicated task -> jediTaskID=(\d+)")  # recorded: twins


def recognise(ctx: Context, task: TaskRow, candidates: Iterable[TaskInfo]) -> int | None:
    """Id of the task that does our work, or None when PanDA shows none.

    Of several live ones (another user name, two refiners) the lowest stays and the others are killed at once. When none
    lives or brought anything, the one that has spent our name is ours: it cannot be sent again.
    """
    ours = [one for one in candidates if not differences(ctx, task, one.jedi_task_id)]
    kept, others = choose(ours)
    for twin in others:
        kill_duplicate(ctx, task, kept or 0, twin)
    if kept is not None or not ours:
        return kept
    me = ctx.panda.user_name()  # JEDI's twin check looks at user and name: what others spent is free for us
    return min((one.jedi_task_id for one in ours if one.user_name == me), default=None)


def choose(ours: Iterable[TaskInfo]) -> tuple[int | None, tuple[TaskInfo, ...]]:
    """Of tasks that all do our work: the one that stays, and those that live beside it.

    The lowest that lives or brought something stays; where there is none, the lowest that could still be retried.
    Aborted and broken ones never stay.
    """
    usable = sorted((one for one in ours if one.status not in DEAD), key=lambda one: one.jedi_task_id)
    good = [one for one in usable if one.status not in FINAL or one.status in WITH_OUTPUT] or usable
    if not good:
        return None, ()
    kept = good[0].jedi_task_id
    return kept, tuple(one for one in good[1:] if one.status not in FINAL or one.status in WITH_OUTPUT)


def differences(ctx: Context, task: TaskRow, jedi_task_id: int) -> list[str]:
    """How the map that PanDA stored differs from ours: the whole map, its seeds included."""
    return same_work(ctx.panda.get_task_map(jedi_task_id), task.task_map)


def kill_duplicate(ctx: Context, task: TaskRow, kept: int, twin: TaskInfo) -> bool:
    """End a second task of our work, with an alarm the first time; whether it was new to the ledger.

    One that has ended with output cannot be undone: it is only named.
    """
    if twin.status not in NOT_KILLED_IN:
        kill_if_alive(ctx, twin.jedi_task_id)
    with transaction(ctx.sessions) as session:
        row = session.get(TaskRow, task.task_row_id, with_for_update=True)
        if row is None or twin.jedi_task_id in row.twins:
            return False
        row.twins = [*row.twins, twin.jedi_task_id]
        detail = {"kept": kept, "twin": twin.jedi_task_id, "user": twin.user_name, "status": twin.status}
        write_audit(session, ctx.who, "kill twin", task.task_name.partition(".")[0], **detail)
    said = "ALARM: task %s of %s (%s) did the work of %s, the task of which is %s"
    LOG.error(said, twin.jedi_task_id, twin.user_name or "nobody", twin.status, task.task_name, kept)
    return True


def original_of_duplicate(reason: str) -> int | None:
    """Id of the task that JEDI took for the original when it ended a duplicate; None when the reason is another."""
    found = _DUPLICATE.search(reason)
    return int(found[1]) if found else None


def settle_duplicates(ctx: Context, info: TaskInfo, reason: str = "") -> int | None:
    """Id of the task that does the work in the place of this one; None when this one is to go on.

    Looked at as long as the id is provisional: what JEDI ended as a duplicate is replaced by the original; of two that
    live the lowest stays.

    Raises
    ------
    PandaError
        The original does other work: the name was used by somebody else.
    PandaUnavailable
        Its search by name does not find the very task that it shows.
    """
    with transaction(ctx.sessions) as session:
        task = find_task(session, info.jedi_task_id)
        if task is None:  # another process was quicker
            return _replaced_by(session, info.jedi_task_id)
    elder = original_of_duplicate(reason or info.error_dialog) if info.status in DEAD else None
    if elder is not None:
        return replace_task(ctx, task, _checked(ctx, task, elder))
    if IntentState(task.intent) is not IntentState.RECORDED or info.status is TaskStatus.REGISTERED:
        return None  # seen to before, or not refined yet: a search by name would not even find itself
    shown = ctx.panda.find_tasks(task.task_name)
    if info.task_name == task.task_name and info.jedi_task_id not in {one.jedi_task_id for one in shown}:
        raise PandaUnavailable(
            f"it shows task {info.jedi_task_id}, and its search for {task.task_name} does not find it"
        )
    found = recognise(ctx, task, shown)
    if found is None or found == info.jedi_task_id:
        return None
    return replace_task(ctx, task, found)


def _replaced_by(session: Session, jedi_task_id: int) -> int | None:
    wanted = select(TaskRow.jedi_task_id).where(TaskRow.twins.contains([jedi_task_id]))
    return session.scalars(wanted).first()


def _checked(ctx: Context, task: TaskRow, elder: int) -> int:
    unlike = differences(ctx, task, elder)
    if unlike:
        raise PandaError(
            f"{task.task_name} is the name of task {elder}, which does other work: {'; '.join(unlike[:3])}"
        )
    return elder


def replace_task(ctx: Context, task: TaskRow, jedi_task_id: int) -> int:
    """Id that the intent has now: this one in the place of ours, provisional again, unless somebody was quicker."""
    with transaction(ctx.sessions) as session:
        row = session.get(TaskRow, task.task_row_id, with_for_update=True, populate_existing=True)
        assert row is not None  # rows of tasks are never deleted
        if row.jedi_task_id == task.jedi_task_id and not row.final:
            twins = dict.fromkeys([*row.twins, task.jedi_task_id])
            row.twins = [one for one in twins if one not in (None, jedi_task_id)]
            row.jedi_task_id, row.status, row.intent = jedi_task_id, None, IntentState.RECORDED
            detail = {"jedi_task_id": jedi_task_id, "twin": task.jedi_task_id}
            write_audit(session, ctx.who, "adopt", task.task_name.partition(".")[0], **detail)
        return row.jedi_task_id or jedi_task_id
