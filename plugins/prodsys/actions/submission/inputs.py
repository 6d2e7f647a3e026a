"""What a task reads: the datasets of the task that wrote, or datasets of its own with exactly the seeds it shall run.

JEDI pairs inputs by position in the order of their names (DESIGN section 4), so a task reads complete pairs and nothing
else, in an order that PanDA pairs rightly.
"""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import select
from sqlalchemy.orm import Session

from prodsys.actions.core.context import Context
from prodsys.actions.submission.dataset_contents import Part, Source, dataset_row, describe, hold, rse_of_seeds
from prodsys.actions.submission.external_inputs import borrowed_names, ensure_borrowed
from prodsys.actions.submission.task_orders import Work
from prodsys.ddm.pairs import pair_inputs
from prodsys.errors import StepFailed
from prodsys.ledger.requests import get_request, get_step
from prodsys.ledger.session import transaction
from prodsys.ledger.tables import DatasetRow, FileRow, StepRow, TaskRow
from prodsys.ledger.tasks import list_files, seeds_of_task
from prodsys.model.names import DataKind, Did
from prodsys.model.plan import Plan
from prodsys.model.statuses import Verdict

Files = dict[str, dict[str, FileRow]]  # data type -> LFN -> file


def input_names(session: Session, plan: Plan, step: StepRow, attempt: int, work: Work) -> dict[str, str]:
    """Data type -> dataset that an attempt reads, in the order PanDA pairs them; {} for a first step.

    The writer's own datasets where they hold the seeds of the attempt and nothing else; datasets to be made otherwise.
    """
    before = plan.before(step.kind)
    if before is None:
        return borrowed_names(session, plan, step, attempt, work) if plan.reading else {}
    types = plan.step(step.kind).inputs
    if work.whole and (own := _own_datasets(session, plan, step, work, types)):
        return own
    return {one: plan.sample.dataset(step.kind, f"in{one}", attempt, step.bunch) for one in types}


def _own_datasets(
    session: Session, plan: Plan, step: StepRow, work: Work, types: tuple[str, ...]
) -> dict[str, str] | None:
    """The datasets that the writer filled, None when one of them holds files that do not count."""
    files = _files(session, plan, step, frozenset(work.seeds))
    names = {one: {file.dataset for file in files.get(one, {}).values()} for one in types}
    if any(len(found) != 1 for found in names.values()):
        return None
    own = {one: found.pop() for one, found in names.items()}
    wanted = select(DatasetRow).where(DatasetRow.did.in_([str(Did(plan.partition, name)) for name in own.values()]))
    if any(row.strays for row in session.scalars(wanted)):
        return None
    return own


def _files(session: Session, plan: Plan, step: StepRow, seeds: frozenset[int]) -> Files:
    """Files of these seeds that a step reads."""
    planned = plan.step(step.kind)
    before = plan.before(step.kind)
    assert before is not None  # only a step that reads comes here
    wrote = get_step(session, plan.request_id, before.kind, step.bunch)
    files: Files = {one: {} for one in planned.inputs}
    for file in list_files(session, wrote.step_id):
        if file.data_type in files and file.seed in seeds:
            files[file.data_type][file.lfn] = file
    return files


def ensure_inputs(ctx: Context, plan: Plan, step: StepRow, task: TaskRow) -> None:
    """What a task reads is in Rucio, complete, closed, with a GUID each, in an order that PanDA pairs rightly.

    May be run again.

    Raises
    ------
    StepFailed
        In the order of their names the files would be paired wrongly.
    DatasetConflict
        What an earlier request wrote is not as it was when this one was planned.
    """
    if plan.reading is not None and plan.before(step.kind) is None:
        ensure_borrowed(ctx, plan, step, task)
        return
    with transaction(ctx.sessions) as session:
        files = _files(session, plan, step, frozenset(seeds_of_task(task)))
        before = plan.before(step.kind)
        assert before is not None  # only a task that reads has inputs
        wrote = get_step(session, plan.request_id, before.kind, step.bunch)
        source = Source(plan, wrote.step_id, before.kind, rse_of_seeds(session, ctx, wrote.step_id))
    _check_order(plan, step.kind, files)
    for data_type, name in task.inputs.items():
        part = Part(Did(plan.partition, name), data_type, files[data_type])
        if name in {file.dataset for file in files[data_type].values()}:
            describe(ctx, part)  # registered before PanDA's need of a GUID was known
        else:
            _make(ctx, source, step, part)


def _check_order(plan: Plan, kind: str, files: Mapping[str, Mapping[str, FileRow]]) -> None:
    """PanDA pairs inputs by the order of their names: refuse when that would mix seeds."""
    by_type = {one: {lfn: file.seed for lfn, file in found.items()} for one, found in files.items()}
    pairing = pair_inputs(by_type)
    if pairing.shifted or pairing.broken_seeds:
        seeds = pairing.shifted or pairing.broken_seeds
        names = (
            f"in the order of their names the files of {' and '.join(files)} do not belong together at seeds {seeds}"
        )
        raise StepFailed(plan.request_id, kind, Verdict.MISPAIRED, names)


def _make(ctx: Context, source: Source, step: StepRow, part: Part) -> None:
    held = hold(ctx, part, source)
    with transaction(ctx.sessions) as session:
        get_request(session, source.plan.request_id, lock=True)
        session.merge(dataset_row(step, part, held, DataKind.INPUT))
