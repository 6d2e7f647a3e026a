"""What PanDA's answers about an ended task prove, and what they leave in doubt. Pure.

PanDA answers "success" with an empty or short list when it cannot read a table, so a list alone proves nothing. Two
sources are compared: the jobs, and JEDI's own numbers and files of the task, which lie in other tables. A verdict needs
both. Recorded: empty_reads; DESIGN decision 13.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import IntEnum

from prodsys.model.outcome import InputCount, JobRecord, TaskInfo
from prodsys.model.statuses import JobStatus, TaskStatus

PSEUDO_INPUTS = frozenset({"pseudo_dataset", "RNDMSEED"})  # input datasets that JEDI makes itself
FINISHED = "finished"  # JEDI's word for a file that was processed or written
SHOWN = 5  # numbers of jobs, or names of files, in a message
_SEED_OF_PSEUDO_FILE = re.compile(r"^\d+:(\d+)$")  # recorded: seed_list, `000001:40007`


@dataclass(frozen=True)
class TaskFile:
    """A file of a task as JEDI counts it."""

    lfn: str
    scope: str
    status: str  # JEDI's word for a file: ready, picked, running, finished, failed, ...


@dataclass(frozen=True)
class TaskDataset:
    """A dataset of a task, with its files in the order PanDA lists them."""

    name: str
    files: tuple[TaskFile, ...]
    dataset_id: int = 0  # PanDA's own

    @property
    def finished(self) -> int:
        """Number of its files that are finished."""
        return sum(file.status == FINISHED for file in self.files)


class DoubtKind(IntEnum):
    """Which of the two sources is doubted."""

    JOBS = 1  # JEDI's numbers agree with each other, the jobs lack something: unreadable now, or archived
    TASK = 2  # JEDI's own numbers and files do not agree


@dataclass(frozen=True)
class Doubt:
    """One thing that is missing in PanDA's answers about a task."""

    kind: DoubtKind
    words: str


@dataclass(frozen=True)
class TaskReading:
    """PanDA's answers about one ended task."""

    info: TaskInfo
    datasets: tuple[TaskDataset, ...]
    jobs: tuple[JobRecord, ...]
    undescribed: tuple[int, ...] = ()  # jobs that PanDA names and does not describe
    inputs: frozenset[str] = field(default_factory=frozenset)  # datasets that the task reads, without scope

    @property
    def whole_jobs(self) -> tuple[JobRecord, ...]:
        """Jobs without those that finished and have lost their files or parameters."""
        return tuple(job for job in self.jobs if not is_stripped(job))

    @property
    def input_datasets(self) -> tuple[TaskDataset, ...]:
        """What the task reads, the lists that JEDI makes itself included."""
        return tuple(one for one in self.datasets if self._is_input(one))

    @property
    def output_datasets(self) -> tuple[TaskDataset, ...]:
        """What the task writes."""
        return tuple(one for one in self.datasets if not self._is_input(one))

    def _is_input(self, dataset: TaskDataset) -> bool:
        return dataset.name.rpartition(":")[2] in self.inputs | PSEUDO_INPUTS  # with its scope or without

    def age_s(self, now: datetime) -> float:
        """How long ago the task ended [s]; 0 when PanDA does not tell."""
        said = self.info.ended or self.info.modified
        if not said:
            return 0.0
        ended = datetime.fromisoformat(said)
        return (now - (ended if ended.tzinfo else ended.replace(tzinfo=UTC))).total_seconds()


def is_stripped(job: JobRecord) -> bool:
    """Whether a job finished and its files or parameters are gone: PanDA drops them before the job itself."""
    return job.status is JobStatus.FINISHED and not (job.outputs and job.parameters)


def find_doubts(reading: TaskReading) -> tuple[Doubt, ...]:
    """Everything in which the answers about an ended task are short or contradict each other; () when they agree."""
    task = [Doubt(DoubtKind.TASK, words) for words in _doubts_about_task(reading)]
    jobs = [Doubt(DoubtKind.JOBS, words) for words in _doubts_about_jobs(reading)]
    return (*task, *jobs)


def _doubts_about_task(reading: TaskReading) -> Iterator[str]:
    """JEDI's numbers against JEDI's files."""
    info = reading.info
    if info.files is None or info.files_finished is None:
        yield "PanDA does not tell how many inputs the task has"
        return
    if info.status is TaskStatus.DONE and not info.files_finished:
        yield "the task is done and JEDI counts no finished input"
    counts = (info.files, info.files_finished)
    if info.files and not any((len(one.files), one.finished) == counts for one in reading.input_datasets):
        listed = ", ".join(f"{one.name} {one.finished} of {len(one.files)}" for one in reading.input_datasets)
        yield f"JEDI counts {counts[1]} of {counts[0]} inputs finished and lists {listed or 'none'}"
    written = {one.name: {file.lfn for file in one.files} for one in reading.output_datasets}
    reported = [file for job in reading.jobs if job.status is JobStatus.FINISHED for file in job.outputs]
    if unlisted := sorted(one.lfn for one in reported if one.lfn not in written.get(one.dataset, {one.lfn})):
        yield f"JEDI does not list {_shown(unlisted)}, which jobs of the task report"


def _doubts_about_jobs(reading: TaskReading) -> Iterator[str]:
    """The jobs against JEDI's numbers and files."""
    if reading.undescribed:
        yield f"PanDA names jobs that it does not describe: {_shown(reading.undescribed)}"
    if stripped := [job.panda_job_id for job in reading.jobs if is_stripped(job)]:
        yield f"finished jobs have lost their files or parameters: {_shown(stripped)}"
    finished = sum(job.status is JobStatus.FINISHED for job in reading.jobs)
    if finished < (reading.info.files_finished or 0):
        yield f"PanDA shows {finished} finished jobs, JEDI counts {reading.info.files_finished} finished inputs"
    known = {file.lfn for job in reading.jobs for file in job.outputs}
    listed = {file.lfn for one in reading.output_datasets for file in one.files if file.status == FINISHED}
    if orphans := sorted(listed - known):
        yield f"no job of {_shown(orphans)} is shown, which JEDI lists as written"


def _shown(found: Sequence[object]) -> str:
    shown = [str(one) for one in found[:SHOWN]]
    return ", ".join(shown) + (f" and {len(found) - SHOWN} more" if len(found) > SHOWN else "")


def count_inputs(
    reading: TaskReading, seeds: Iterable[int], input_seeds: Mapping[str, int] | None
) -> dict[int, InputCount]:
    """What JEDI proves about each seed of an ended task.

    ``UNFINISHED``, the only word after which a seed may be run again by itself, needs JEDI's own line for the seed that
    says so, in a task that is not `done`; or a task that made no inputs at all.

    Parameters
    ----------
    reading
        The answers, compared.
    seeds
        Seeds of the task.
    input_seeds
        LFN of each input -> seed, for a step that reads; None for one whose seeds are listed in its map.
    """
    said: dict[int, set[str]] = {}
    for dataset in reading.input_datasets:
        for file in dataset.files:
            seed = _seed_of_file(file.lfn, input_seeds)
            if seed is not None:
                said.setdefault(seed, set()).add(file.status)
    done = reading.info.status is TaskStatus.DONE
    empty = reading.info.files == 0 and not reading.datasets and not reading.jobs and not done
    worked = {job.seed for job in reading.jobs if job.status is JobStatus.FINISHED and input_seeds is None}
    return {
        seed: InputCount.FINISHED if seed in worked else _count(said.get(seed, set()), done=done, empty=empty)
        for seed in seeds
    }


def _seed_of_file(lfn: str, input_seeds: Mapping[str, int] | None) -> int | None:
    if input_seeds is not None:
        return input_seeds.get(lfn)
    found = _SEED_OF_PSEUDO_FILE.match(lfn)
    return int(found[1]) if found else None


def _count(statuses: set[str], *, done: bool, empty: bool) -> InputCount:
    if FINISHED in statuses:
        return InputCount.FINISHED
    if (statuses and not done) or empty:
        return InputCount.UNFINISHED
    return InputCount.UNSAID
