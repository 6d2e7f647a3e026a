"""Queries over steps' tasks, their outcomes and files."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import ColumnElement, delete, select
from sqlalchemy.dialects.postgresql import MultiRange, Range
from sqlalchemy.orm import Session, defer

from prodsys.ledger.requests import get_step, list_steps
from prodsys.ledger.seeds import to_range
from prodsys.ledger.tables import FileRow, RequestRow, SeedOutcomeRow, StepRow, TaskRow
from prodsys.model import seeds as seed_ranges
from prodsys.model.outcome import SeedState
from prodsys.model.seeds import SeedRange
from prodsys.model.statuses import FINAL, IntentState, TaskStatus


def to_multirange(seeds: Iterable[SeedRange]) -> MultiRange[int]:
    """PostgreSQL's multirange of these seeds."""
    return MultiRange(to_range(item) for item in seeds)


def seeds_of_task(task: TaskRow) -> tuple[int, ...]:
    """Every seed of a task, in order."""
    return to_seeds(task.seeds)


def to_seeds(ranges: Iterable[Range[int]]) -> tuple[int, ...]:
    """Every seed of PostgreSQL's multirange, in order."""
    stored = [SeedRange(first=int(item.lower or 0), last=int(item.upper or 0) - 1) for item in ranges]
    return tuple(seed_ranges.iterate(sorted(stored)))


def jobs_of(task: TaskRow) -> int:
    """Jobs that PanDA made of a task, all attempts; before it is settled, one for each of its seeds."""
    if task.job_count is not None:
        return task.job_count
    ranges: Iterable[Range[int]] = task.seeds
    return sum(int(item.upper or 0) - int(item.lower or 0) for item in ranges)


def is_open(task: TaskRow) -> bool:
    """Whether the task may still deliver something that has not been settled."""
    return not task.final and task.intent != IntentState.SPENT


def list_step_tasks(session: Session, step_id: int) -> list[TaskRow]:
    """All tasks of one step (of one bunch), in the order of attempts."""
    return list(session.scalars(select(TaskRow).where(TaskRow.step_id == step_id).order_by(TaskRow.attempt)))


def delivered_by(session: Session, step_id: int) -> list[tuple[int, TaskRow]]:
    """Each seed that a settled step delivered, in order, with the task that wrote it."""
    wanted = (
        select(SeedOutcomeRow.seed, TaskRow)
        .join(TaskRow, TaskRow.task_row_id == SeedOutcomeRow.task_row_id)
        .where(SeedOutcomeRow.step_id == step_id, SeedOutcomeRow.state == SeedState.DELIVERED)
    )
    return [(seed, task) for seed, task in session.execute(wanted.order_by(SeedOutcomeRow.seed))]


def newest_task(
    session: Session, request_id: str, kind: str, bunch: int | None = None, *, lock: bool = False
) -> TaskRow | None:
    """The latest attempt at a step, or None before the first."""
    step = get_step(session, request_id, kind, bunch)
    wanted = select(TaskRow).where(TaskRow.step_id == step.step_id).order_by(TaskRow.attempt.desc()).limit(1)
    return session.scalars(wanted.with_for_update() if lock else wanted).first()


def find_task(session: Session, jedi_task_id: int, *, lock: bool = False) -> TaskRow | None:
    """The intent that PanDA answered with this id."""
    wanted = select(TaskRow).where(TaskRow.jedi_task_id == jedi_task_id)
    return session.scalars(wanted.with_for_update() if lock else wanted).first()


def list_tasks(session: Session, request_id: str) -> list[tuple[StepRow, TaskRow]]:
    """All tasks of the current revision, by step, bunch and attempt."""
    steps = {step.step_id: step for step in list_steps(session, request_id)}
    wanted = select(TaskRow).where(TaskRow.step_id.in_(steps)).order_by(TaskRow.attempt)
    found = [(steps[task.step_id], task) for task in session.scalars(wanted)]
    return sorted(found, key=lambda pair: (pair[0].ordinal, pair[0].bunch or 0, pair[1].attempt))


def list_all_tasks(session: Session, *conditions: ColumnElement[bool]) -> list[tuple[TaskRow, RequestRow]]:
    """Tasks of all requests that meet these conditions, with their requests, without maps: these list every seed."""
    wanted = (
        select(TaskRow, RequestRow)
        .join(StepRow, StepRow.step_id == TaskRow.step_id)
        .join(RequestRow, RequestRow.request_id == StepRow.request_id)
        .where(*conditions)
        .options(defer(TaskRow.task_map))
    )
    return [(task, request) for task, request in session.execute(wanted)]


def open_task_ids(session: Session, request_id: str) -> list[int]:
    """PanDA's ids of the tasks of a request that are not known to be final, oldest first."""
    tasks = [task for _, task in list_tasks(session, request_id) if task.jedi_task_id and not task.final]
    return [task.jedi_task_id for task in tasks if task.jedi_task_id and TaskStatus(task.status or "") not in FINAL]


def younger_task_seen(session: Session, since: datetime) -> bool:
    """Whether PanDA has shown a task first sent after this moment: then JEDI lives and is past it."""
    wanted = select(TaskRow.task_row_id).where(TaskRow.first_sent_at > since, TaskRow.intent == IntentState.CONFIRMED)
    return session.scalars(wanted.limit(1)).first() is not None


def replace_outcome(
    session: Session, step_id: int, outcomes: Iterable[SeedOutcomeRow], files: Iterable[FileRow]
) -> None:
    """Write what a step brought, in place of what was written before."""
    session.execute(delete(FileRow).where(FileRow.step_id == step_id))
    session.execute(delete(SeedOutcomeRow).where(SeedOutcomeRow.step_id == step_id))
    session.flush()
    session.add_all(outcomes)
    session.flush()
    session.add_all(files)
    session.flush()


def list_outcomes(session: Session, step_id: int) -> list[SeedOutcomeRow]:
    """What each seed brought, in the order of seeds."""
    wanted = select(SeedOutcomeRow).where(SeedOutcomeRow.step_id == step_id).order_by(SeedOutcomeRow.seed)
    return list(session.scalars(wanted))


def list_files(session: Session, step_id: int, data_type: str | None = None) -> list[FileRow]:
    """Files of a step, bound to their seeds, in the order of seeds; those of seeds that were not delivered too."""
    wanted = select(FileRow).where(FileRow.step_id == step_id)
    if data_type is not None:
        wanted = wanted.where(FileRow.data_type == data_type)
    return list(session.scalars(wanted.order_by(FileRow.seed, FileRow.data_type)))
