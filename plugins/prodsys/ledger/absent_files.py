"""Queries over files that are not where they should be: never arrived, lost since, or written too late."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from prodsys.ledger.tables import LateFileRow, LostFileRow, TaskRow
from prodsys.model.outcome import LateFile


def files_never_arrived(session: Session, step_id: int) -> frozenset[str]:
    """LFNs that jobs of a step reported, that never were in Rucio and are not to be had."""
    never = LostFileRow.step_id == step_id, ~LostFileRow.delivered
    return frozenset(session.scalars(select(LostFileRow.lfn).where(*never)))


def gone_files(session: Session, step_id: int) -> dict[str, str]:
    """LFN -> how it was lost, of files of a step that were delivered once."""
    gone = LostFileRow.step_id == step_id, LostFileRow.delivered
    return dict(session.execute(select(LostFileRow.lfn, LostFileRow.reason).where(*gone)).all())


def seeds_of_lost_files(session: Session, step_id: int) -> dict[str, int]:
    """LFN -> seed of all files of a step that are not to be had."""
    wanted = select(LostFileRow.lfn, LostFileRow.seed).where(LostFileRow.step_id == step_id)
    return dict(session.execute(wanted).all())


def late_files(session: Session, step_id: int) -> dict[str, LateFile]:
    """LFN -> what is known of a file of a step that was written after its dataset was closed."""
    rows = session.scalars(select(LateFileRow).where(LateFileRow.step_id == step_id))
    return {row.lfn: LateFile(row.reason, row.taken_into) for row in rows}


def late_rows(session: Session, step_id: int) -> list[LateFileRow]:
    """Late files of a step that nobody has had taken into a further dataset, in the order of their names."""
    open_ones = LateFileRow.step_id == step_id, LateFileRow.taken_into == ""
    return list(session.scalars(select(LateFileRow).where(*open_ones).order_by(LateFileRow.lfn)))


def used_attempts(session: Session, step_id: int) -> set[int]:
    """Numbers that a task of a step or a further dataset of it has in its name."""
    tasks = select(TaskRow.attempt).where(TaskRow.step_id == step_id)
    further = select(LateFileRow.attempt).where(LateFileRow.step_id == step_id, LateFileRow.attempt.is_not(None))
    return {*session.scalars(tasks), *(one for one in session.scalars(further) if one is not None)}


def next_attempt(session: Session, step_id: int) -> int:
    """The number for the next task or further dataset of a step."""
    return 1 + max(used_attempts(session, step_id), default=0)
