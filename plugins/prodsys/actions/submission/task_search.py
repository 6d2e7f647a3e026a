"""Search PanDA for a task by its name, when finding nothing would have the task sent again.

A table that PanDA cannot read makes the search a success with nothing in it (recorded: empty_reads). So nothing found
counts only beside a sign that PanDA could read: right before and right after, the same kind of call shows a task that
PanDA has shown before; and the list of this user's tasks, from another call, holds one that the ledger knows and none
of this name. On a new installation there is no such task: then the two calls must agree, and the caller waits for the
longest time there is; what is sent twice under one user and name JEDI ends by itself.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Select, select
from sqlalchemy.orm import Session

from prodsys.actions.core.context import Context
from prodsys.errors import PandaUnavailable
from prodsys.ledger.session import transaction
from prodsys.ledger.tables import TaskRow
from prodsys.model.outcome import TaskInfo
from prodsys.model.statuses import DEAD, IntentState


@dataclass(frozen=True)
class Witness:
    """A task that PanDA has shown under its name."""

    jedi_task_id: int
    task_name: str


def find_by_name(ctx: Context, task: TaskRow) -> tuple[TaskInfo, ...]:
    """Tasks of the name of an intent, of any user; nothing only where PanDA can be seen to read.

    Raises
    ------
    PandaUnavailable
        It finds none, and does not show a task either that it has shown before.
    """
    with transaction(ctx.sessions) as session:
        witness = _newest_witness(session, task)
        known = _known_ids(session)
    _check_shown(ctx, witness)
    found = ctx.panda.find_tasks(task.task_name)
    if found:
        return found
    _check_shown(ctx, witness)
    _check_list(ctx, task, witness, known)
    return ()


def _newest_witness(session: Session, task: TaskRow) -> Witness | None:
    dead = [str(one) for one in DEAD]  # these lose their names
    wanted = _shown_tasks(TaskRow.task_name != task.task_name, TaskRow.status.is_not(None), TaskRow.status.not_in(dead))
    row = session.execute(wanted.order_by(TaskRow.jedi_task_id.desc()).limit(1)).first()
    return Witness(row.jedi_task_id or 0, row.task_name) if row else None


def _known_ids(session: Session) -> frozenset[int]:
    return frozenset(row.jedi_task_id or 0 for row in session.execute(_shown_tasks(~TaskRow.adopted)))


def _shown_tasks(*conditions: ColumnElement[bool]) -> Select[int | None, str]:
    shown = TaskRow.intent == IntentState.CONFIRMED, TaskRow.jedi_task_id.is_not(None)
    return select(TaskRow.jedi_task_id, TaskRow.task_name).where(*shown, *conditions)


def _check_shown(ctx: Context, witness: Witness | None) -> None:
    """PandaUnavailable when the search does not find what it found before."""
    if witness is None:
        return
    if witness.jedi_task_id not in {one.jedi_task_id for one in ctx.panda.find_tasks(witness.task_name)}:
        known = f"{witness.task_name} ({witness.jedi_task_id})"
        raise PandaUnavailable(f"its search by name does not find {known}, which it has shown before: it cannot read")


def _check_list(ctx: Context, task: TaskRow, witness: Witness | None, known: Collection[int]) -> None:
    """PandaUnavailable when the list of our tasks holds none that we know, or one of this name."""
    listed = ctx.panda.list_own_names(min(known, default=1))
    if witness is not None and known and not listed.keys() & set(known):
        raise PandaUnavailable("its list of our tasks holds none of those that it has shown before: it cannot read")
    if same := [one for one, name in listed.items() if name == task.task_name]:
        raise PandaUnavailable(f"its list has {task.task_name} ({same[0]}), and its search does not find it")
