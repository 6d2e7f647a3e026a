"""What came back of a step: jobs and files as PanDA tells them, seed by seed, and the verdict. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import IntEnum, StrEnum

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
    ended: str = ""  # ISO, UTC
    files: int | None = None  # inputs that JEDI counts; None when PanDA does not tell
    files_finished: int | None = None  # those of them that were processed


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
    LOST = "lost"  # it was delivered, and a file of it is gone since
    LATE = "late"  # a file was written after its dataset was closed; `recover` takes it into a further one


class InputCount(IntEnum):
    """What JEDI proves about the input of a seed; of several tasks the highest counts."""

    NO_TASK = 0  # no task of the step has the seed
    UNFINISHED = 1  # JEDI's own list says that it was not processed
    UNSAID = 2  # nothing proves that it was not
    FINISHED = 3  # processed: a job of it finished, whatever became of its files


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
    count: InputCount = InputCount.UNSAID

    @property
    def may_run_again(self) -> bool:
        """Whether it is proved that no job of the seed finished: else only a person has it run again."""
        return self.state is not SeedState.DELIVERED and self.count <= InputCount.UNFINISHED

    unreadable: bool = False  # a file of it lies on its storage and cannot be read as what it should be


@dataclass(frozen=True)
class StepOutcome:
    """A step seed by seed, in the order of seeds, with the verdict."""

    seeds: tuple[SeedOutcome, ...]
    verdict: Verdict
    asked: int  # seeds that count: all of the step but those that a person waived before it
    notes: tuple[str, ...] = ()
    ask_first: str = ""  # why a person decides before anything is run again or let go; "" when policy may

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
        done = {SeedState.DELIVERED, SeedState.LATE}  # what came late is registered, not run again
        return tuple(seed.seed for seed in self.seeds if seed.state not in done and not seed.lost_in)

    @property
    def never_delivered(self) -> tuple[int, ...]:
        """Those of `own_missing` that were never delivered: policy may run them again without a person."""
        lost = {seed.seed for seed in self.seeds if seed.state is SeedState.LOST}
        return tuple(seed for seed in self.own_missing if seed not in lost)

    @property
    def late(self) -> tuple[int, ...]:
        """The seeds whose files were written after their datasets were closed."""
        return tuple(seed.seed for seed in self.seeds if seed.state is SeedState.LATE)

    @property
    def finished_missing(self) -> tuple[int, ...]:
        """Seeds that this step lost itself and of which nothing proves that no job finished: a person decides."""
        own = set(self.own_missing)
        return tuple(seed.seed for seed in self.seeds if seed.seed in own and not seed.may_run_again)

    @property
    def events(self) -> int:
        """Events of the delivered seeds."""
        return sum(seed.events for seed in self.delivered)

    @property
    def percent(self) -> float:
        """Share of the request's seeds that came [%]."""
        return 100.0 * len(self.delivered) / self.asked if self.asked else 0.0


@dataclass(frozen=True)
class LateFile:
    """A file that was written after its dataset was closed."""

    reason: str
    taken_into: str = ""  # dataset that a person had it taken into; "" as long as nobody decided


@dataclass(frozen=True)
class StepQuestion:
    """What a step was asked for."""

    seeds: tuple[int, ...]  # the seeds of its task
    asked: int  # seeds of the request
    events_per_job: int
    output_types: Mapping[str, str]  # dataset name -> data type, the log included
    accept_percent: float
    input_seeds: Mapping[str, int] | None = None  # RECO: LFN of each input -> seed of the SIM job that wrote it
    counts: Mapping[int, InputCount] = field(default_factory=dict)  # seed -> what JEDI proves about it
    lost: frozenset[str] = frozenset()  # LFNs that were reported, never arrived, and are not to be had
    gone: Mapping[str, str] = field(default_factory=dict)  # LFNs that were delivered and are lost -> how
    late: Mapping[str, LateFile] = field(default_factory=dict)  # by LFN


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


def seeds_of_jobs(question: StepQuestion, jobs: Iterable[JobRecord]) -> frozenset[int]:
    """Seeds of which one of these jobs finished."""
    own, notes = frozenset(question.seeds), list[str]()
    finished = (job for job in jobs if job.status is JobStatus.FINISHED)
    return frozenset(seed for job in finished for seed in _seeds_of(job, question, own, notes))


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
        count = question.counts.get(seed, InputCount.UNSAID)
        return SeedOutcome(
            seed,
            SeedState.MISSING,
            last.panda_job_id if last else None,
            last.site if last else "",
            reason=_counted_reason(reason, count) if last is None else reason,
            count=count,
        )
    jobs = sorted(finished, key=lambda one: one.panda_job_id)
    brought = [_settle_job(seed, finished, job, question) for job in jobs]
    best = next((one for one in brought if one.state is SeedState.DELIVERED), brought[0])
    if len(brought) > 1:
        others = ", ".join(_set_aside(one) for one in brought if one is not best)
        notes.append(f"seed {seed} came more than once: job {best.panda_job_id} counts, not {others}")
    return best


def _counted_reason(reason: str, count: InputCount) -> str:
    """Why a seed without any job did not come, with what JEDI counts of it."""
    return "PanDA shows no job of it, and JEDI counts its input as finished" if count is InputCount.FINISHED else reason


def _set_aside(one: SeedOutcome) -> str:
    """The job that does not count, with what it lacks."""
    return f"{one.panda_job_id} ({one.reason})" if one.reason else str(one.panda_job_id)


def _settle_job(seed: int, finished: list[JobRecord], job: JobRecord, question: StepQuestion) -> SeedOutcome:
    files = _own_files(job, question)
    events, source = _events(job, files, question)
    outcome = SeedOutcome(
        seed, SeedState.DELIVERED, job.panda_job_id, job.site, files, events, source, count=InputCount.FINISHED
    )
    lacking = sorted(set(question.output_types.values()) - set(files))
    if mixed := _mixed_inputs(finished, question):
        return _but(outcome, SeedState.MISPAIRED, mixed)
    if absent := _absent_file(files, question):
        return _but(outcome, *absent)
    if lacking:
        return _but(outcome, SeedState.MISSING, f"job {job.panda_job_id} wrote no {', '.join(lacking)}")
    if events < question.events_per_job:
        return _but(outcome, SeedState.SHORT, f"{events} of {question.events_per_job} events ({source})")
    return outcome


def _own_files(job: JobRecord, question: StepQuestion) -> dict[str, JobFile]:
    """Data type -> file; one that came late belongs to the dataset it was taken into."""
    files = {}
    for file in job.outputs:
        if data_type := question.output_types.get(file.dataset):
            late = question.late.get(file.lfn)
            files[data_type] = replace(file, dataset=late.taken_into) if late and late.taken_into else file
    return files


def _absent_file(files: Mapping[str, JobFile], question: StepQuestion) -> tuple[SeedState, str] | None:
    """State of a seed one of whose files is not to be had, and why; None when all are."""
    lfns = sorted(file.lfn for file in files.values())
    for lfn in lfns:
        if lfn in question.gone:
            return SeedState.LOST, question.gone[lfn]
    for lfn in lfns:
        if lfn in question.lost:
            return SeedState.MISSING, f"{lfn} is not in Rucio and its dataset is closed"
    for lfn in lfns:
        if lfn in question.late and not question.late[lfn].taken_into:
            return SeedState.LATE, question.late[lfn].reason
    return None


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
    """Outcome of a step that several tasks worked for: of each seed the earliest good delivery counts.

    A seed without one counts as its last word says; what came late may still be taken, whatever was said after it.

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
            count = max(seed.count, before.count) if before else seed.count
            if before is None or (before.state is not SeedState.DELIVERED and _rank(seed) >= _rank(before)):
                notes += _replaced(before, seed)
                best[seed.seed] = replace(seed, task=task, count=count)
                continue
            best[seed.seed] = replace(before, count=count)
            if seed.state is SeedState.DELIVERED:
                notes.append(f"seed {seed.seed} came again: job {before.panda_job_id} counts, not {seed.panda_job_id}")
    seeds = tuple(best[number] for number in sorted(best))
    return StepOutcome(seeds, judge((one.state for one in seeds), asked, accept_percent), asked, tuple(notes))


def _rank(one: SeedOutcome) -> int:
    return {SeedState.DELIVERED: 2, SeedState.LATE: 1}.get(one.state, 0)


def _replaced(before: SeedOutcome | None, seed: SeedOutcome) -> list[str]:
    """What is said where a later job counts because the files of an earlier one are no good (any more)."""
    if before is None or seed.state is not SeedState.DELIVERED or not before.files:
        return []
    return [f"seed {seed.seed}: job {seed.panda_job_id} counts, not {before.panda_job_id}: {before.reason}"]


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
