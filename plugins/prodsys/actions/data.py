"""The data of a settled step in Rucio: verified or registered, and what the next step may read.

PanDA's adder may have registered everything already, or nothing (both are right); what we register we close last.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy.orm import Session

from prodsys.actions.context import Context
from prodsys.actions.orders import INPUT
from prodsys.ddm.facts import FileFact
from prodsys.ddm.pairs import pair_inputs
from prodsys.ddm.verbs import Held, ensure_dataset_holds
from prodsys.errors import StepFailed
from prodsys.ledger.journal import write_audit
from prodsys.ledger.requests import approved_plan, get_request, get_step
from prodsys.ledger.session import transaction
from prodsys.ledger.tables import DatasetRow, FileRow, SeedOutcomeRow
from prodsys.ledger.tasks import list_files, list_outcomes, list_tasks
from prodsys.model.names import Did
from prodsys.model.outcome import SeedState, judge
from prodsys.model.plan import LOG, Plan, PlannedStep
from prodsys.model.statuses import GOOD, Verdict

DATASET = "dataset"


@dataclass(frozen=True)
class DataAnswer:
    """One dataset of a step, as read back."""

    did: str
    data_type: str
    files: int
    events: int


@dataclass(frozen=True)
class _Part:
    """The files of one data type of a step: those of delivered seeds, by LFN."""

    did: Did
    data_type: str
    files: Mapping[str, FileRow]


@dataclass(frozen=True)
class _Source:
    """The step that wrote the files."""

    plan: Plan
    kind: str
    rse_of: Mapping[int, str]  # seed -> storage where its job ran; "" when no site says


def ensure_step_data(ctx: Context, request_id: str, kind: str) -> tuple[DataAnswer, ...]:
    """The datasets of a step in Rucio, complete, closed, read back and compared; run again, nothing changes.

    An S whose P is not to be had is kept out of what the next step reads, and its seed is counted missing.

    Raises
    ------
    DatasetConflict
        Rucio holds something else than PanDA reported.
    StepFailed
        Without the seeds whose files are not in Rucio the step is not good enough.
    """
    with transaction(ctx.sessions) as session:
        plan = approved_plan(session, request_id)
        parts = _parts(session, plan, plan.step(kind))
        source = _Source(plan, kind, _rse_of(session, ctx, plan, kind))
    held = {part.did: _ensure(ctx, part, source) for part in parts}
    lost = {part.files[lfn].seed: lfn for part in parts for lfn in held[part.did].lost}
    if lost:
        _give_up(ctx, plan, kind, lost)
        parts = tuple(_without(part, set(lost)) for part in parts)
        held = {part.did: _ensure(ctx, part, source) for part in parts}  # their partners are kept out
    _ensure_readable(ctx, source, parts, held)
    return _write_down(ctx, plan, kind, parts, held)


def _parts(session: Session, plan: Plan, step: PlannedStep) -> tuple[_Part, ...]:
    row = get_step(session, plan.request_id, step.kind)
    good = {one.seed for one in list_outcomes(session, row.step_id) if one.state == SeedState.DELIVERED}
    files = [file for file in list_files(session, row.step_id) if file.seed in good]
    datasets = sorted({(file.data_type, file.dataset) for file in files})
    return tuple(
        _Part(
            Did(plan.partition, dataset),
            data_type,
            {file.lfn: file for file in files if file.data_type == data_type and file.dataset == dataset},
        )
        for data_type, dataset in datasets
    )


def _without(part: _Part, seeds: set[int]) -> _Part:
    return _Part(part.did, part.data_type, {lfn: file for lfn, file in part.files.items() if file.seed not in seeds})


def _rse_of(session: Session, ctx: Context, plan: Plan, kind: str) -> dict[int, str]:
    queues = {queue.name: queue.rse for queue in ctx.catalogue.sites.queues}
    row = get_step(session, plan.request_id, kind)
    return {one.seed: queues.get(one.site, "") for one in list_outcomes(session, row.step_id)}


def _ensure(ctx: Context, part: _Part, source: _Source) -> Held:
    rse_of = {lfn: source.rse_of[file.seed] for lfn, file in part.files.items()}

    def known(lfns: Collection[str]) -> Collection[str]:
        return _written(ctx, source, lfns)

    return ensure_dataset_holds(ctx.rucio, part.did, _facts(part.files.values()), rse_of, known)


def _written(ctx: Context, source: _Source, lfns: Collection[str]) -> frozenset[str]:
    """Which of these files jobs of the step wrote: of seeds that do not count, or twice for one seed."""
    request_id = source.plan.request_id
    with transaction(ctx.sessions) as session:
        step = get_step(session, request_id, source.kind)
        bound = {file.lfn for file in list_files(session, step.step_id)}
        tasks = [task.jedi_task_id for one, task in list_tasks(session, request_id) if one.step_id == step.step_id]
    rest = frozenset(lfns) - bound
    if rest:  # PanDA alone knows them: ask it only then
        bound |= {file.lfn for task in tasks if task for job in ctx.panda.get_jobs(task) for file in job.outputs}
    return frozenset(lfns) & bound


def _facts(files: Iterable[FileRow]) -> dict[str, FileFact]:
    return {file.lfn: FileFact(file.bytes, file.adler32) for file in files}


def _give_up(ctx: Context, plan: Plan, kind: str, lost: Mapping[int, str]) -> None:
    """Seeds whose file Rucio lacks and will not take any more are missing; the verdict is said again."""
    with transaction(ctx.sessions) as session:
        get_request(session, plan.request_id, lock=True)  # one at a time writes down what became of a request
        step = get_step(session, plan.request_id, kind)
        for seed, lfn in lost.items():
            row = session.get(SeedOutcomeRow, (step.step_id, seed))
            if row is not None:
                row.state, row.reason = SeedState.MISSING, f"{lfn} is not in Rucio and its dataset is closed"
        session.flush()
        rows = list_outcomes(session, step.step_id)
        good = [row for row in rows if row.state == SeedState.DELIVERED]
        step.verdict = judge((SeedState(row.state) for row in rows), plan.step(kind).jobs, plan.accept_percent)
        step.seeds_delivered, step.events = len(good), sum(row.events for row in good)
        step.notes = [*step.notes, *(f"seed {seed}: {lfn} was lost from Rucio" for seed, lfn in sorted(lost.items()))]
        verdict = step.verdict
        write_audit(session, ctx.who, "seeds lost", plan.request_id, step=kind, seeds=sorted(lost), verdict=verdict)
    if verdict not in GOOD:
        raise StepFailed(plan.request_id, kind, verdict, f"files of seeds {sorted(lost)} are not in Rucio")


def _ensure_readable(ctx: Context, source: _Source, parts: tuple[_Part, ...], held: Mapping[Did, Held]) -> None:
    """What the next step reads holds the complete pairs and nothing else, in an order that PanDA pairs rightly."""
    plan = source.plan
    following = [step for step in plan.steps if (before := plan.before(step.kind)) and before.kind == source.kind]
    if not following:
        return
    reader = following[0]
    read = {part.data_type: part for part in parts if part.data_type in reader.inputs}
    _check_order(plan, reader, read)
    if not any(held[part.did].strays for part in read.values()):
        return
    for part in read.values():
        _ensure_input(ctx, source, reader, part)


def _check_order(plan: Plan, reader: PlannedStep, read: Mapping[str, _Part]) -> None:
    """PanDA pairs inputs by the order of their names: refuse when that would mix seeds."""
    by_type = {data_type: {lfn: file.seed for lfn, file in part.files.items()} for data_type, part in read.items()}
    shifted = pair_inputs(by_type).shifted
    if shifted:
        names = (
            f"in the order of their names the files of {' and '.join(read)} do not belong together at seeds {shifted}"
        )
        raise StepFailed(plan.request_id, reader.kind, Verdict.MISPAIRED, names)


def _ensure_input(ctx: Context, source: _Source, reader: PlannedStep, part: _Part) -> None:
    """A dataset of its own with the complete pairs: this Rucio lets no file out of a closed one."""
    plan = source.plan
    did = Did(plan.partition, plan.sample.dataset(reader.kind, f"in{part.data_type}"))
    held = _ensure(ctx, _Part(did, part.data_type, part.files), source)
    with transaction(ctx.sessions) as session:
        get_request(session, plan.request_id, lock=True)
        session.merge(_row(plan, reader.kind, did, part, held, INPUT))


def _row(plan: Plan, kind: str, did: Did, part: _Part, held: Held, what: str) -> DatasetRow:
    events = 0 if part.data_type == LOG else sum(file.events for file in part.files.values())
    return DatasetRow(
        did=str(did),
        request_id=plan.request_id,
        step=kind,
        data_type=part.data_type,
        kind=what,
        files=len(held.files),
        bytes=sum(fact.bytes for fact in held.files.values()),
        events=events,
        closed=True,
        read_back_at=datetime.now(UTC),
    )


def _write_down(
    ctx: Context, plan: Plan, kind: str, parts: tuple[_Part, ...], held: Mapping[Did, Held]
) -> tuple[DataAnswer, ...]:
    with transaction(ctx.sessions) as session:
        get_request(session, plan.request_id, lock=True)
        rows = [_row(plan, kind, part.did, part, held[part.did], DATASET) for part in parts]
        for row in rows:
            session.merge(row)
        step = get_step(session, plan.request_id, kind)
        step.data_ready_at = datetime.now(UTC)
        write_audit(session, ctx.who, "data", plan.request_id, step=kind, datasets=[row.did for row in rows])
        return tuple(DataAnswer(row.did, row.data_type or "", row.files, row.events) for row in rows)
