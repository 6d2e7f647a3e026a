"""The one door to every further attempt: a seed of which a job finished is not sent again unless a person named it.

Whatever was read, and by whom: what the ledger knows of a step decides (DESIGN decision 13). Every new intent passes
``refuse_finished``.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from sqlalchemy import select
from sqlalchemy.orm import Session

from prodsys.actions.core.context import Context
from prodsys.errors import SeedsFinished
from prodsys.ledger.absent_files import seeds_of_lost_files
from prodsys.ledger.tables import SeedOutcomeRow, StepRow, TaskRow
from prodsys.ledger.tasks import list_step_tasks, seeds_of_task, to_multirange, to_seeds
from prodsys.model import seeds as seed_ranges
from prodsys.model.outcome import SeedState
from prodsys.model.statuses import TaskStatus

SERVICE = "service"  # role of those who act without a person


def granted_seeds(step: StepRow) -> tuple[int, ...]:
    """Seeds that a person wants to be run again, whatever became of them."""
    return to_seeds(step.granted_seeds)


def is_own_missing(row: SeedOutcomeRow, step: StepRow) -> bool:
    """Whether a step lost the seed itself."""
    return row.state != SeedState.DELIVERED and row.lost_in in {"", step.kind}


def to_run_again(rows: Iterable[SeedOutcomeRow], step: StepRow) -> list[int]:
    """Seeds that a step lost itself and that recovery makes again; files that came late are registered instead."""
    return [row.seed for row in rows if is_own_missing(row, step) and row.state != SeedState.LATE]


def grant_seeds(ctx: Context, step: StepRow, seeds: Iterable[int]) -> None:
    """Note which seeds are wanted again; a service, or a default that counts because nobody answered, grants none."""
    if SERVICE not in ctx.roles:
        step.granted_seeds = to_multirange(seed_ranges.from_seeds({*granted_seeds(step), *seeds}))


def take_back(step: StepRow, seeds: Iterable[int]) -> None:
    """Note that these seeds are run again: the next time a person is asked anew."""
    step.granted_seeds = to_multirange(seed_ranges.from_seeds({*granted_seeds(step)} - {*seeds}))


def refuse_finished(session: Session, step: StepRow, seeds: Collection[int]) -> None:
    """Refuse an attempt with a seed that was delivered, or of which a job finished, and that no person named.

    Seeds of a task that is `done` are such, too: it has processed all of its inputs.

    Raises
    ------
    SeedsFinished
        There is one.
    """
    wanted = select(SeedOutcomeRow.seed).where(
        SeedOutcomeRow.step_id == step.step_id,
        (SeedOutcomeRow.state == SeedState.DELIVERED) | SeedOutcomeRow.finished,
    )
    finished = {*session.scalars(wanted), *seeds_of_lost_files(session, step.step_id).values()}
    for task in list_step_tasks(session, step.step_id):
        finished |= set(seeds_of_task(task)) if _is_done(task) else set()
    if refused := sorted(finished.intersection(seeds) - {*granted_seeds(step)}):
        raise SeedsFinished(step.request_id, step.kind, seed_ranges.show(seed_ranges.from_seeds(refused)))


def _is_done(task: TaskRow) -> bool:
    return TaskStatus(task.status or TaskStatus.UNSEEN) is TaskStatus.DONE
