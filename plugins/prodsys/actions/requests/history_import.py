"""Import of lists of tasks that ended before this ledger: figures for the estimates of plans."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from sqlalchemy.orm import Session

from prodsys.actions.core.context import Context
from prodsys.intake.history import History, HistoryTask
from prodsys.intake.result import Fault, Note
from prodsys.ledger.history import known_requests, list_history
from prodsys.ledger.journal import write_audit
from prodsys.ledger.session import transaction
from prodsys.ledger.tables import HistoryTaskRow
from prodsys.model.transitions import Permission

WORDS = frozenset({"status", "events_left_out"})  # the newer list counts
FIGURES = ("status", "jobs", "events", "events_left_out", "bytes", "wall_s", "span_h")


@dataclass
class HistoryAnswer:
    """What an import did, by task name; flags are figures that are not used, with the reason."""

    created: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    unchanged: list[str] = field(default_factory=list)
    flags: list[Fault] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)


def import_history(ctx: Context, history: History) -> HistoryAnswer:
    """Import tasks of a list; importing the same again changes nothing.

    Of two lists that contradict each other the figure that its own row does not contradict stays; where both could be
    right, neither is used until somebody says which.
    """
    ctx.check_permission("import history", Permission.CREATE)
    answer = HistoryAnswer(flags=list(history.flags), faults=list(history.faults), notes=list(history.notes))
    with transaction(ctx.sessions) as session:
        known = known_requests(session, (task.request_id for task in history.tasks if task.request_id))
        for task in history.tasks:
            _import_one(session, ctx.who, task, answer)
            if task.request_id and task.request_id not in known:
                message = f"belongs to {task.request_id}, which is not in the ledger: compared when it is"
                answer.notes.append(Note(task.file, task.row, "Task name", task.task_name, message))
        if answer.created or answer.changed:
            files = sorted({task.file for task in history.tasks})
            write_audit(session, ctx.who, "import history", None, files=files, tasks=answer.created + answer.changed)
    return answer


def _import_one(session: Session, who: str, task: HistoryTask, answer: HistoryAnswer) -> None:
    row = session.get(HistoryTaskRow, (task.jedi_task_id, task.task_name), with_for_update=True)
    if row is None:
        session.add(_row(who, task))
        answer.created.append(task.task_name)
        return
    changed = [name for name in FIGURES if _take(row, task, name, answer)]
    if changed:
        row.file, row.line, row.imported_by = task.file, task.row, who
        row.written = {**row.written, **task.written}
        others = [flag for flag in row.flags if flag["file"] != task.file]
        row.flags = [*others, *(asdict(flag) for flag in task.flags)]
    (answer.changed if changed else answer.unchanged).append(task.task_name)


def _take(row: HistoryTaskRow, task: HistoryTask, name: str, answer: HistoryAnswer) -> bool:
    """Whether a figure of the list replaces the one we have."""
    held, told = getattr(row, name), getattr(task, name)
    if told is None or told == held:
        return False
    if held is not None and name not in WORDS:
        message = f"{name}: {row.file}, row {row.line} says {held}: neither is used until one list is mended"
        flag = Fault(task.file, task.row, name, str(told), message, "mend the wrong list, then import it again")
        answer.flags.append(flag)
        told = None
    setattr(row, name, told)
    return True


def _row(who: str, task: HistoryTask) -> HistoryTaskRow:
    figures: dict[str, Any] = {name: getattr(task, name) for name in FIGURES}
    return HistoryTaskRow(
        jedi_task_id=task.jedi_task_id,
        task_name=task.task_name,
        request_id=task.request_id,
        kind=task.kind,
        **figures,
        written=dict(task.written),
        flags=[asdict(flag) for flag in task.flags],
        file=task.file,
        line=task.row,
        imported_by=who,
    )


def show_history(ctx: Context) -> list[dict[str, Any]]:
    """Imported tasks with their figures and flags, by id."""
    keys = ("jedi_task_id", "task_name", "request_id", "kind", *FIGURES, "flags", "file", "line")
    with transaction(ctx.sessions) as session:
        return [{key: getattr(row, key) for key in keys} for row in list_history(session)]
