"""What one ended task of a step brought: PanDA's answers, doubted, beside what the ledger knows (DESIGN decision 13).

Jobs and JEDI's own numbers must agree before they are a verdict. Where PanDA does not show any more what it showed
before, the ledger's record stands; where it never was read, it is waited for, or a person is asked once PanDA has
thrown the jobs away. Nothing here is ever a reason to run a seed again.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from sqlalchemy.orm import Session

from prodsys.actions.core.context import Context
from prodsys.actions.submission.output_datasets import outputs_of_jobs
from prodsys.errors import PandaUnavailable
from prodsys.ledger.tables import FileRow, SeedOutcomeRow, StepRow, TaskRow
from prodsys.ledger.tasks import list_files, list_outcomes
from prodsys.model import seeds as seed_ranges
from prodsys.model.estimate import core_seconds
from prodsys.model.evidence import Doubt, DoubtKind, TaskReading, count_inputs, find_doubts, is_stripped
from prodsys.model.outcome import (
    InputCount,
    JobFile,
    JobRecord,
    SeedOutcome,
    SeedState,
    StepOutcome,
    StepQuestion,
    seeds_of_jobs,
    settle,
)
from prodsys.model.statuses import EventSource, Verdict

RECORD_STANDS = "the ledger's record stands"
DAY_S = 86400.0


@dataclass(frozen=True)
class Record:
    """What the ledger knows of a step from the last time it was settled."""

    outcomes: Mapping[int, SeedOutcomeRow]
    files: Mapping[int, Sequence[FileRow]]
    settled_at: datetime | None

    @property
    def finished(self) -> frozenset[int]:
        """Seeds of which a job finished once."""
        return frozenset(seed for seed, row in self.outcomes.items() if row.finished)

    def delivered_by(self, task: TaskRow) -> frozenset[int]:
        """Seeds that this task delivered."""
        return frozenset(
            seed
            for seed, row in self.outcomes.items()
            if row.state == SeedState.DELIVERED and row.task_row_id == task.task_row_id
        )


@dataclass(frozen=True)
class TaskOutcome:
    """What one task brought; without ``jobs`` it is not PanDA's word but the ledger's, or JEDI's alone."""

    task_row_id: int
    outcome: StepOutcome
    jobs: tuple[JobRecord, ...] | None = None

    def core_seconds(self, cores: int) -> float | None:
        """Core time of its jobs [s]; None when they are not shown."""
        return None if self.jobs is None else core_seconds(self.jobs, cores)


def read_record(session: Session, step: StepRow) -> Record:
    """What the ledger knows of a step."""
    files: dict[int, list[FileRow]] = defaultdict(list)
    for file in list_files(session, step.step_id):
        files[file.seed].append(file)
    return Record({one.seed: one for one in list_outcomes(session, step.step_id)}, files, step.settled_at)


def settle_task(ctx: Context, task: TaskRow, question: StepQuestion, record: Record) -> TaskOutcome:
    """What a task at rest brought.

    Raises
    ------
    PandaUnavailable
        What PanDA shows is less than it counts, or than it showed before, and the ledger has no record that could stand
        for it.
    """
    reading = read_ended_task(ctx, task)
    counts = count_inputs(reading, question.seeds, question.input_seeds)
    question = replace(question, counts=counts, output_types=outputs_of_jobs(ctx, task, reading.jobs))
    outcome = settle(question, reading.jobs)
    known = _doubts_by_record(task, reading, outcome, question, record)
    doubts = (*find_doubts(reading), *_doubts_by_seed(reading, question), *known)
    if not doubts:
        return TaskOutcome(task.task_row_id, outcome, reading.jobs)
    if _record_stands(task, reading, counts, record, doubts):
        return TaskOutcome(task.task_row_id, _recorded(task, question, record, doubts))
    if _are_thrown_away(ctx, reading, doubts):
        return TaskOutcome(task.task_row_id, _without_jobs(task, reading, question))
    raise PandaUnavailable(f"task {task.jedi_task_id} ({task.task_name}): {_in_words(doubts)}; it is read again")


def read_ended_task(ctx: Context, task: TaskRow) -> TaskReading:
    """PanDA's answers about a task that has an id."""
    assert task.jedi_task_id is not None  # an ended task has one
    return ctx.panda.read_ended_task(task.jedi_task_id)


def read_all_jobs(ctx: Context, jedi_task_id: int) -> tuple[JobRecord, ...]:
    """All jobs of an ended task, compared with what JEDI counts.

    Raises
    ------
    PandaUnavailable
        PanDA does not show all of them.
    """
    reading = ctx.panda.read_ended_task(jedi_task_id)
    if doubts := find_doubts(reading):
        raise PandaUnavailable(f"task {jedi_task_id}: {_in_words(doubts)}")
    return reading.jobs


def record_notes(outcome: StepOutcome) -> list[str]:
    """Where the ledger's record stands for what PanDA does not show any more."""
    return [note for note in outcome.notes if RECORD_STANDS in note]


# --- doubts ---------------------------------------------------------------------------------------------------------
def _doubts_by_seed(reading: TaskReading, question: StepQuestion) -> Iterator[Doubt]:
    """Seeds that JEDI counts and no job brought."""
    brought = seeds_of_jobs(question, reading.jobs)
    lacking = [seed for seed, one in question.counts.items() if one is InputCount.FINISHED and seed not in brought]
    if lacking:
        words = f"JEDI counts seeds {_shown(lacking)} as finished, PanDA shows no finished job of them"
        yield Doubt(DoubtKind.JOBS, words)


def _doubts_by_record(
    task: TaskRow, reading: TaskReading, outcome: StepOutcome, question: StepQuestion, record: Record
) -> Iterator[Doubt]:
    """What PanDA showed before and does not show now; what Rucio lost is no doubt, it is in the ledger."""
    if len(reading.jobs) < (task.job_count or 0):
        yield Doubt(DoubtKind.JOBS, f"PanDA shows {len(reading.jobs)} jobs, it showed {task.job_count} before")
    delivered = record.delivered_by(task)
    gone = [one.seed for one in outcome.seeds if one.seed in delivered and _is_gone(one, question)]
    if gone:
        yield Doubt(DoubtKind.JOBS, f"seeds {_shown(gone)} were delivered, and PanDA does not show their files now")


def _is_gone(seed: SeedOutcome, question: StepQuestion) -> bool:
    """Whether a seed that was delivered is missing without evidence of a loss."""
    lost = any(file.lfn in question.lost for file in seed.files.values())
    return seed.state is SeedState.MISSING and not lost


def _in_words(doubts: Sequence[Doubt]) -> str:
    return "; ".join(one.words for one in doubts)


def _shown(seeds: Sequence[int]) -> str:
    return seed_ranges.show(seed_ranges.from_seeds(seeds))


# --- the ledger's own record ----------------------------------------------------------------------------------------
def _record_stands(
    task: TaskRow, reading: TaskReading, counts: Mapping[int, InputCount], record: Record, doubts: Sequence[Doubt]
) -> bool:
    """Whether the ledger settled this task once, and JEDI counts nothing as finished that it does not know."""
    if task.job_count is None or any(one.kind is DoubtKind.TASK for one in doubts):
        return False
    finished = {seed for seed, count in counts.items() if count is InputCount.FINISHED}
    known = record.finished & set(counts)
    return finished <= known and (reading.info.files_finished or 0) <= len(known)


def _recorded(task: TaskRow, question: StepQuestion, record: Record, doubts: Sequence[Doubt]) -> StepOutcome:
    when = f", written {record.settled_at:%Y-%m-%d}" if record.settled_at else ""
    note = f"task {task.jedi_task_id}: {_in_words(doubts)}; {RECORD_STANDS}{when}"
    seeds = tuple(_from_rows(seed, task, question, record) for seed in question.seeds)
    return StepOutcome(seeds, Verdict.FAILED, question.asked, (note,))  # the verdict is that of all tasks together


def _from_rows(seed: int, task: TaskRow, question: StepQuestion, record: Record) -> SeedOutcome:
    """A seed as it was written down; one that another task brought is nothing that this one brought."""
    row, count = record.outcomes.get(seed), question.counts.get(seed, InputCount.UNSAID)
    if row is None or row.task_row_id != task.task_row_id:
        return SeedOutcome(seed, SeedState.MISSING, reason="not brought by this task", count=count)
    files = {
        file.data_type: JobFile(file.lfn, file.dataset, file.bytes, file.adler32) for file in record.files.get(seed, ())
    }
    return SeedOutcome(
        seed,
        SeedState(row.state),
        row.panda_job_id,
        row.site,
        files,
        row.events,
        EventSource(row.events_source),
        row.reason,
        count=InputCount.FINISHED if row.finished else count,
    )


# --- jobs that PanDA has thrown away --------------------------------------------------------------------------------
def _are_thrown_away(ctx: Context, reading: TaskReading, doubts: Sequence[Doubt]) -> bool:
    """Whether the task is so old that PanDA keeps its jobs, or their files, no longer."""
    if any(one.kind is DoubtKind.TASK for one in doubts):
        return False
    times = ctx.catalogue.profile.times
    stripped = any(is_stripped(job) for job in reading.jobs)
    return reading.age_s(datetime.now(UTC)) > (times.job_files_kept_s if stripped else times.jobs_kept_s)


def _without_jobs(task: TaskRow, reading: TaskReading, question: StepQuestion) -> StepOutcome:
    """What is said of a task that was never settled and whose jobs are gone: a person has to decide about its seeds."""
    outcome = settle(question, reading.whole_jobs)
    days = int(reading.age_s(datetime.now(UTC)) // DAY_S)
    files = sum(one.finished for one in reading.output_datasets)
    reason = (
        f"JEDI counts its input as finished ({reading.info.files_finished} of {reading.info.files} of task "
        f"{task.jedi_task_id}, {files} files written); PanDA keeps no record of its job after {days} days"
    )
    seeds = tuple(
        replace(one, reason=reason) if one.state is SeedState.MISSING and one.count is InputCount.FINISHED else one
        for one in outcome.seeds
    )
    return replace(outcome, seeds=seeds)
