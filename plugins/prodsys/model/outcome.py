"""What came back of a step: jobs and files as PanDA tells them, seed by seed, and the verdict. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

from prodsys.model.statuses import EventSource, JobStatus, TaskStatus, Verdict


@dataclass(frozen=True)
class TaskInfo:
    """One JEDI task as PanDA shows it."""

    jedi_task_id: int
    task_name: str | None  # None: aborted as a twin, or broken
    status: TaskStatus
    user_name: str = ""
    task_type: str = ""
    priority: int | None = None
    parent_tid: int | None = None
    error_dialog: str = ""
    site: str = ""
    task_map: Mapping[str, object] = field(default_factory=dict)  # the refined map, {} when not asked for
    modified: str = ""  # ISO, UTC


@dataclass(frozen=True)
class JobFile:
    """One output file of a job, or one input it read."""

    lfn: str
    dataset: str
    bytes: int = 0
    adler32: str = ""  # 8 hex digits, lower case; "" when not reported
    events: int | None = None  # from the job's report
    guid: str = ""  # 32 hex digits; "" when not reported
    dataset_id: int = 0  # PanDA's own


@dataclass(frozen=True)
class JobRecord:
    """One attempt of one job."""

    panda_job_id: int
    status: JobStatus
    site: str
    parameters: str
    attempt: int = 1
    seed: int | None = None  # from ``--seed=`` of the parameters; SIM only
    events: int | None = None
    inputs: tuple[JobFile, ...] = ()
    outputs: tuple[JobFile, ...] = ()
    errors: tuple[str, ...] = ()  # "pilotErrorCode 1305: words"
    cpu_s: float = 0.0
    wall_s: float = 0.0


class SeedState(StrEnum):
    """What became of one seed in one step."""

    DELIVERED = "delivered"
    MISSING = "missing"  # no job brought it
    SHORT = "short"  # fewer events than asked
    MISPAIRED = "mispaired"  # its job read files of two seeds


@dataclass(frozen=True)
class SeedOutcome:
    """What one seed brought in one step."""

    seed: int
    state: SeedState
    panda_job_id: int | None = None
    site: str = ""
    files: Mapping[str, JobFile] = field(default_factory=dict)  # data type -> file, the log included
    events: int = 0
    events_source: EventSource = EventSource.ASSUMED
    reason: str = ""
    task: int | None = None  # row of the task whose job this is
    lost_in: str = ""  # kind of an earlier step that lost it


@dataclass(frozen=True)
class StepOutcome:
    """A step seed by seed, in the order of seeds, with the verdict."""

    seeds: tuple[SeedOutcome, ...]
    verdict: Verdict
    asked: int  # seeds that count: all of the step but those that a person waived before it
    notes: tuple[str, ...] = ()

    @property
    def delivered(self) -> tuple[SeedOutcome, ...]:
        """The seeds that came whole."""
        return tuple(seed for seed in self.seeds if seed.state is SeedState.DELIVERED)

    @property
    def missing(self) -> tuple[int, ...]:
        """The seeds that did not."""
        return tuple(seed.seed for seed in self.seeds if seed.state is not SeedState.DELIVERED)

    @property
    def own_missing(self) -> tuple[int, ...]:
        """The missing seeds that this step lost itself: those it can run again."""
        return tuple(seed.seed for seed in self.seeds if seed.state is not SeedState.DELIVERED and not seed.lost_in)

    @property
    def events(self) -> int:
        """Events of the delivered seeds."""
        return sum(seed.events for seed in self.delivered)

    @property
    def percent(self) -> float:
        """Share of the request's seeds that came [%]."""
        return 100.0 * len(self.delivered) / self.asked if self.asked else 0.0


@dataclass(frozen=True)
class StepQuestion:
    """What a step was asked for."""

    seeds: tuple[int, ...]  # the seeds of its task
    asked: int  # seeds of the request
    events_per_job: int
    output_types: Mapping[str, str]  # dataset name -> data type, the log included
    accept_percent: float
    input_seeds: Mapping[str, int] | None = None  # RECO: LFN of each input -> seed of the SIM job that wrote it
    lost: frozenset[str] = frozenset()  # LFNs that were reported and are not to be had


def settle(question: StepQuestion, jobs: Iterable[JobRecord]) -> StepOutcome:
    """Outcome of a step.

    A file is bound to its seed by its job, never by the number in its name: second attempts take the next free serial
    number. Of several jobs that finished a seed the earliest whole one counts. A RECO job's seed is that of the SIM job
    whose files it read; when they come from two SIM jobs, both seeds are mispaired and the whole step is.
    """
    by_seed: dict[int, list[JobRecord]] = defaultdict(list)
    lost: dict[int, list[JobRecord]] = defaultdict(list)
    notes: list[str] = []
    own = frozenset(question.seeds)
    for job in jobs:
        for seed in _seeds_of(job, question, own, notes):
            (by_seed if job.status is JobStatus.FINISHED else lost)[seed].append(job)
    outcomes = tuple(_settle_seed(seed, by_seed[seed], lost[seed], question, notes) for seed in question.seeds)
    verdict = judge((seed.state for seed in outcomes), question.asked, question.accept_percent)
    return StepOutcome(outcomes, verdict, question.asked, tuple(notes))


def _seeds_of(job: JobRecord, question: StepQuestion, own: frozenset[int], notes: list[str]) -> tuple[int, ...]:
    if question.input_seeds is None:
        seeds = {job.seed} if job.seed is not None else set()
    else:
        seeds = {question.input_seeds[file.lfn] for file in job.inputs if file.lfn in question.input_seeds}
    foreign = seeds - own
    if not seeds or foreign:
        notes.append(
            f"job {job.panda_job_id} belongs to no seed of this task: {sorted(foreign) or job.parameters[:80]}"
        )
    return tuple(sorted(seeds & own))


def _settle_seed(
    seed: int, finished: list[JobRecord], lost: list[JobRecord], question: StepQuestion, notes: list[str]
) -> SeedOutcome:
    if not finished:
        errors = [error for job in lost for error in job.errors]
        reason = errors[-1] if errors else "no job of this seed finished" if lost else "no job was made for this seed"
        last = lost[-1] if lost else None
        return SeedOutcome(
            seed, SeedState.MISSING, last.panda_job_id if last else None, last.site if last else "", reason=reason
        )
    jobs = sorted(finished, key=lambda one: one.panda_job_id)
    brought = [_settle_job(seed, finished, job, question) for job in jobs]
    best = next((one for one in brought if one.state is SeedState.DELIVERED), brought[0])
    if len(brought) > 1:
        others = ", ".join(_set_aside(one) for one in brought if one is not best)
        notes.append(f"seed {seed} came more than once: job {best.panda_job_id} counts, not {others}")
    return best


def _set_aside(one: SeedOutcome) -> str:
    """The job that does not count, with what it lacks."""
    return f"{one.panda_job_id} ({one.reason})" if one.reason else str(one.panda_job_id)


def _settle_job(seed: int, finished: list[JobRecord], job: JobRecord, question: StepQuestion) -> SeedOutcome:
    files = {question.output_types[file.dataset]: file for file in job.outputs if file.dataset in question.output_types}
    events, source = _events(job, files, question)
    outcome = SeedOutcome(seed, SeedState.DELIVERED, job.panda_job_id, job.site, files, events, source)
    lacking = sorted(set(question.output_types.values()) - set(files))
    if mixed := _mixed_inputs(finished, question):
        return _but(outcome, SeedState.MISPAIRED, mixed)
    if gone := sorted(file.lfn for file in files.values() if file.lfn in question.lost):
        return _but(outcome, SeedState.MISSING, f"{gone[0]} is not in Rucio and its dataset is closed")
    if lacking:
        return _but(outcome, SeedState.MISSING, f"job {job.panda_job_id} wrote no {', '.join(lacking)}")
    if events < question.events_per_job:
        return _but(outcome, SeedState.SHORT, f"{events} of {question.events_per_job} events ({source})")
    return outcome


def _but(outcome: SeedOutcome, state: SeedState, reason: str) -> SeedOutcome:
    return replace(outcome, state=state, reason=reason)


def _mixed_inputs(finished: list[JobRecord], question: StepQuestion) -> str:
    """Why the inputs of these jobs are not those of one seed; "" when they are."""
    if question.input_seeds is None:
        return ""
    for job in finished:
        seeds = {file.lfn: question.input_seeds.get(file.lfn) for file in job.inputs}
        if len(set(seeds.values())) != 1 or None in seeds.values():
            read = ", ".join(f"{lfn} (seed {seed})" for lfn, seed in sorted(seeds.items()))
            return f"job {job.panda_job_id} read {read}"
    return ""


def _events(job: JobRecord, files: Mapping[str, JobFile], question: StepQuestion) -> tuple[int, EventSource]:
    reported = [file.events for file in files.values() if file.events is not None]
    if reported:
        return min(reported), EventSource.JOB_REPORT
    if job.events:
        return job.events, EventSource.JOB_REPORT
    return question.events_per_job, EventSource.ASSUMED


def unite(
    parts: Iterable[tuple[int, StepOutcome]], absent: Iterable[SeedOutcome], asked: int, accept_percent: float
) -> StepOutcome:
    """Outcome of a step that several tasks worked for: of each seed the earliest delivery counts, else the last word.

    Parameters
    ----------
    parts
        Row of each task, in the order of attempts, with its own outcome.
    absent
        What is said of seeds that no task ran.
    asked
        Seeds that count for the verdict.
    accept_percent
        Least share of them with which the step is accepted [%].
    """
    best: dict[int, SeedOutcome] = {one.seed: one for one in absent}
    notes: list[str] = []
    for task, outcome in parts:
        notes += outcome.notes
        for seed in outcome.seeds:
            before = best.get(seed.seed)
            if before is None or before.state is not SeedState.DELIVERED:
                best[seed.seed] = replace(seed, task=task)
            elif seed.state is SeedState.DELIVERED:
                notes.append(f"seed {seed.seed} came again: job {before.panda_job_id} counts, not {seed.panda_job_id}")
    seeds = tuple(best[number] for number in sorted(best))
    return StepOutcome(seeds, judge((one.state for one in seeds), asked, accept_percent), asked, tuple(notes))


def judge(states: Iterable[SeedState], asked: int, accept_percent: float) -> Verdict:
    """Verdict that seeds in these states give, of ``asked`` ones, accepted from ``accept_percent`` [%] on."""
    found = list(states)
    delivered = found.count(SeedState.DELIVERED)
    if SeedState.MISPAIRED in found:
        return Verdict.MISPAIRED
    if delivered >= asked and delivered:
        return Verdict.FULL
    if delivered and 100.0 * delivered / asked >= accept_percent:
        return Verdict.PARTIAL
    return Verdict.FAILED
