"""From plan and ledger to the order of one task: which seeds, which inputs, which names."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from prodsys.actions.context import Context
from prodsys.errors import StepFailed
from prodsys.ledger.tables import DatasetRow
from prodsys.ledger.tasks import delivered_seeds, newest_task
from prodsys.model import seeds as seeds_of
from prodsys.model.names import TaskName
from prodsys.model.plan import LOG, Plan, PlannedStep
from prodsys.panda.task_map import StepOrder

INPUT = "input"  # kind of a dataset made for the next step because the original holds files without partner


def build_order(session: Session, ctx: Context, plan: Plan, kind: str, attempt: int = 1) -> StepOrder:
    """What to have PanDA run for one attempt at a step.

    Raises
    ------
    StepFailed
        The step before delivered nothing.
    """
    step, before = plan.step(kind), plan.before(kind)
    seeds = _seeds(session, plan, before)
    if not seeds:
        raise StepFailed(plan.request_id, kind, "failed", "the step before delivered no seed")
    outputs = {data_type: plan.sample.dataset(kind, data_type, attempt) for data_type in step.outputs}
    profile = ctx.catalogue.profile
    return StepOrder(
        task_name=str(TaskName(plan.request_id, kind, attempt=attempt)),
        vo=profile.vo,
        campaign=plan.campaign,
        working_group=plan.working_group,
        processing_type=step.processing_type,
        transform=step.transform,
        script=step.script,
        image=step.image,
        queue=step.queue,
        cloud=ctx.catalogue.sites.cloud,
        priority=plan.priority,
        cores=step.cores,
        ram_mb=step.ram_mb,
        max_attempts=step.max_attempts,
        events_per_job=step.events_per_job,
        seeds=seeds,
        outputs={data_type: name for data_type, name in outputs.items() if data_type != LOG},
        log_dataset=outputs[LOG],
        inputs=input_datasets(session, plan, step, before) or None,
        parent_tid=_parent(session, plan, before),
        event_argument=profile.event_argument,
        architecture=profile.architecture,
        token=profile.token,
    )


def _seeds(session: Session, plan: Plan, before: PlannedStep | None) -> tuple[int, ...]:
    if before is None:
        return tuple(seeds_of.iterate(plan.seeds))
    return delivered_seeds(session, plan.request_id, before.kind)


def input_datasets(session: Session, plan: Plan, step: PlannedStep, before: PlannedStep | None) -> dict[str, str]:
    """Data type -> name of the dataset a step reads, in the order PanDA pairs them."""
    if before is None:
        return {}
    attempt = attempt_of(session, plan.request_id, before.kind)
    return {
        data_type: _made_for(session, plan, step, data_type) or plan.sample.dataset(before.kind, data_type, attempt)
        for data_type in step.inputs
    }


def _made_for(session: Session, plan: Plan, step: PlannedStep, data_type: str) -> str | None:
    wanted = select(DatasetRow.did).where(
        DatasetRow.request_id == plan.request_id,
        DatasetRow.kind == INPUT,
        DatasetRow.step == step.kind,
        DatasetRow.data_type == data_type,
    )
    did = session.scalars(wanted).first()
    return did.partition(":")[2] if did else None


def attempt_of(session: Session, request_id: str, kind: str) -> int:
    """Number of the newest attempt at a step."""
    task = newest_task(session, request_id, kind)
    return task.attempt if task else 1


def _parent(session: Session, plan: Plan, before: PlannedStep | None) -> int | None:
    task = newest_task(session, plan.request_id, before.kind) if before else None
    return task.jedi_task_id if task else None
