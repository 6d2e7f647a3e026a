"""Which of PanDA's tasks is ours: after a lost answer, and when JEDI ended a task as a duplicate."""

from __future__ import annotations

import re
from collections.abc import Iterable

from prodsys.actions.context import Context
from prodsys.errors import PandaError
from prodsys.ledger.journal import write_audit
from prodsys.ledger.session import transaction
from prodsys.ledger.tables import TaskRow
from prodsys.ledger.tasks import find_task
from prodsys.model.outcome import TaskInfo
from prodsys.model.statuses import FINAL, TaskStatus
from prodsys.panda.task_map import same_work

_DUPLICATE = re.compile(r"duplicated task -> jediTaskID=(\d+)")  # recorded: twins


def recognise(ctx: Context, task: TaskRow, candidates: Iterable[TaskInfo]) -> int | None:
    """Id of the task that does our work, or None when PanDA shows none.

    Of several live ones (another user name, two refiners) the lowest stays and the others are killed at once.
    """
    ours = [one for one in candidates if not differences(ctx, task, one.jedi_task_id)]
    usable = sorted(one.jedi_task_id for one in ours if one.status not in {TaskStatus.ABORTED, TaskStatus.BROKEN})
    for twin in usable[1:]:
        _kill_twin(ctx, task, usable[0], twin, {one.jedi_task_id: one for one in ours}[twin])
    return usable[0] if usable else None


def differences(ctx: Context, task: TaskRow, jedi_task_id: int) -> list[str]:
    """How the map that PanDA stored differs from ours: the whole map, its seeds included."""
    return same_work(ctx.panda.get_task_map(jedi_task_id), task.task_map)


def _kill_twin(ctx: Context, task: TaskRow, kept: int, twin: int, info: TaskInfo) -> None:
    if info.status not in FINAL:
        ctx.panda.kill(twin)
    with transaction(ctx.sessions) as session:
        row = session.get(TaskRow, task.task_row_id, with_for_update=True)
        if row is not None and twin not in row.twins:
            row.twins = [*row.twins, twin]
        write_audit(session, ctx.who, "kill twin", task.task_name.partition(".")[0], kept=kept, twin=twin)


def elder_twin(reason: str) -> int | None:
    """Id of the task that JEDI took for the original when it ended a duplicate; None when the reason is another."""
    found = _DUPLICATE.search(reason)
    return int(found[1]) if found else None


def adopt_elder(ctx: Context, jedi_task_id: int, reason: str) -> int | None:
    """Ours was ended as a duplicate: take the original, if its whole map is ours; its id, or None.

    Raises
    ------
    PandaError
        The original does other work: the name was used by somebody else.
    """
    elder = elder_twin(reason)
    if elder is None:
        return None
    with transaction(ctx.sessions) as session:
        task = find_task(session, jedi_task_id)
    if task is None:
        return None
    unlike = differences(ctx, task, elder)
    if unlike:
        raise PandaError(
            f"{task.task_name} is the name of task {elder}, which does other work: {'; '.join(unlike[:3])}"
        )
    with transaction(ctx.sessions) as session:
        row = session.get(TaskRow, task.task_row_id, with_for_update=True)
        assert row is not None  # rows of tasks are never deleted
        row.jedi_task_id, row.twins, row.status = elder, [*row.twins, jedi_task_id], None
        write_audit(session, ctx.who, "adopt", task.task_name.partition(".")[0], jedi_task_id=elder, twin=jedi_task_id)
    return elder
