"""Tasks of a first step that reads what an earlier request wrote: which work, which datasets, which seeds."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import UTC, datetime

from sqlalchemy.orm import Session

from prodsys.actions.core.context import Context
from prodsys.actions.planning.input_discovery import Group, groups_of
from prodsys.actions.submission.task_orders import Work
from prodsys.ddm.facts import FileFact, differences
from prodsys.ddm.verbs import ensure_dataset_of, ensure_described
from prodsys.errors import DatasetConflict
from prodsys.ledger.inputs import list_inputs
from prodsys.ledger.requests import get_request
from prodsys.ledger.session import transaction
from prodsys.ledger.tables import DatasetRow, StepRow, TaskRow
from prodsys.ledger.tasks import seeds_of_task
from prodsys.model import seeds as seed_ranges
from prodsys.model.names import DataKind, Did, guid_of
from prodsys.model.outcome import InputCount, SeedOutcome, SeedState
from prodsys.model.plan import Plan
from prodsys.model.reading import InputFile, PlannedReading, panda_name, read_panda_name


def borrowed_work(session: Session, plan: Plan, step: StepRow, read: Collection[int]) -> Iterator[Work]:
    """One piece of work for each group of datasets with seeds that no task reads yet."""
    own = set(seed_ranges.iterate(plan.seeds_of_bunch(step.bunch)))
    for group in groups_of(list_inputs(session, plan.request_id)):
        left = tuple(seed for seed in group.seeds if seed in own and seed not in read)
        if left:
            yield Work(left, parent_tid=group.parent_tid, whole=_is_whole(plan, group, left))


def _is_whole(plan: Plan, group: Group, seeds: tuple[int, ...]) -> bool:
    """Whether the datasets hold the files of these seeds and nothing else."""
    held = {one.did: one.files for one in plan.reading.datasets} if plan.reading else {}
    return all(held.get(did) == len(seeds) for did in group.dids.values())


def borrowed_parent(session: Session, plan: Plan, seeds: Collection[int]) -> int | None:
    """PanDA's id of the task that wrote the input of the first of these seeds, when the ledger knows it."""
    found = [one.parent_tid for one in list_inputs(session, plan.request_id) if one.seed in seeds]
    return found[0] if found else None


def borrowed_names(session: Session, plan: Plan, step: StepRow, attempt: int, work: Work) -> dict[str, str]:
    """Data type -> dataset that an attempt reads, in the order PanDA pairs them, written as a task map has it.

    The datasets under their real names where they hold the seeds of the attempt and nothing else; datasets to be made
    otherwise.
    """
    types = plan.step(step.kind).inputs
    if work.whole:
        dids = {one.data_type: one.did for one in _files(session, plan, work.seeds)}
        return {kind: panda_name(Did.parse(dids[kind])) for kind in types}
    names = {kind: plan.sample.dataset(step.kind, f"in{kind}", attempt, step.bunch) for kind in types}
    return {kind: panda_name(Did(plan.partition, name)) for kind, name in names.items()}


def _files(session: Session, plan: Plan, seeds: Iterable[int]) -> list[InputFile]:
    wanted = set(seeds)
    return [one for one in list_inputs(session, plan.request_id) if one.seed in wanted]


def ensure_borrowed(ctx: Context, plan: Plan, step: StepRow, task: TaskRow) -> None:
    """What a task reads is in Rucio as it was when the request was planned; may be run again.

    Raises
    ------
    DatasetConflict
        A dataset holds something else now.
    """
    with transaction(ctx.sessions) as session:
        files = _files(session, plan, seeds_of_task(task))
    for kind, name in task.inputs.items():
        did = read_panda_name(name)
        wanted = {one.lfn: one for one in files if one.data_type == kind}
        if all(one.did == str(did) for one in wanted.values()):
            _check_still_there(ctx, did, wanted)
        else:
            _make(ctx, plan, step, did, kind, wanted)
        ensure_described(ctx.rucio, did, _with_guid(wanted))


def _facts(files: Mapping[str, InputFile]) -> dict[str, FileFact]:
    return {lfn: FileFact(one.bytes, one.adler32) for lfn, one in files.items()}


def _with_guid(files: Mapping[str, InputFile]) -> dict[Did, FileFact]:
    """The files with a GUID for each that Rucio has none of: JEDI reads no file without."""
    dids = {lfn: Did(Did.parse(one.did).scope, lfn) for lfn, one in files.items()}
    return {dids[lfn]: FileFact(one.bytes, one.adler32, guid_of(dids[lfn])) for lfn, one in files.items()}


def _check_still_there(ctx: Context, did: Did, files: Mapping[str, InputFile]) -> None:
    info = ctx.rucio.dataset_info(did)
    if info is None or info.open:
        raise DatasetConflict(str(did), ["it is gone" if info is None else "it was closed and is open"])
    if wrong := differences(ctx.rucio.list_files(did), _facts(files)):
        raise DatasetConflict(str(did), [f"{said} (since the request was planned)" for said in wrong])


def _make(ctx: Context, plan: Plan, step: StepRow, did: Did, kind: str, files: Mapping[str, InputFile]) -> None:
    facts = _facts(files)
    ensure_dataset_of(ctx.rucio, did, {Did(Did.parse(files[lfn].did).scope, lfn): fact for lfn, fact in facts.items()})
    row = DatasetRow(
        did=str(did),
        request_id=plan.request_id,
        step=step.kind,
        bunch=step.bunch,
        data_type=kind,
        kind=DataKind.INPUT,
        files=len(facts),
        bytes=sum(fact.bytes for fact in facts.values()),
        events=len(facts) * plan.spec.events_per_file,
        closed=True,
        strays=0,
        read_back_at=datetime.now(UTC),
    )
    with transaction(ctx.sessions) as session:
        get_request(session, plan.request_id, lock=True)
        session.merge(row)


def borrowed_seeds(session: Session, plan: Plan) -> dict[str, int]:
    """LFN of every file that is read -> its seed."""
    return {one.lfn: one.seed for one in list_inputs(session, plan.request_id)}


def unread_seeds(plan: Plan, step: StepRow, reading: PlannedReading) -> tuple[list[SeedOutcome], int]:
    """What is said of seeds before any task is looked at; and how many count: those the input lacks were let go.

    Whoever approved the plan saw which ones these are.
    """
    seeds = list(seed_ranges.iterate(plan.seeds_of_bunch(step.bunch)))
    lacking = set(seed_ranges.iterate(reading.lacking))
    absent = [_absent(seed, reading, lacks=seed in lacking) for seed in seeds]
    return absent, sum(1 for seed in seeds if seed not in lacking)


def _absent(seed: int, reading: PlannedReading, *, lacks: bool) -> SeedOutcome:
    if not lacks:
        reason = "no job was made for this seed"
        return SeedOutcome(seed, SeedState.MISSING, reason=reason, count=InputCount.NO_TASK)
    reason = "the input had no complete set of files of this seed when the request was planned"
    return SeedOutcome(seed, SeedState.MISSING, reason=reason, lost_in=reading.step)
