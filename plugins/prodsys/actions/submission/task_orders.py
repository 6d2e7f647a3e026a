"""From plan and ledger to the order of one task: which seeds, which inputs, which names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from prodsys.actions.core.context import Context
from prodsys.ledger.tables import StepRow, TaskRow
from prodsys.model.names import TaskName
from prodsys.model.plan import LOG, Plan
from prodsys.panda.task_map import StepOrder


@dataclass(frozen=True)
class Work:
    """What one task shall do."""

    seeds: tuple[int, ...]
    parent: TaskRow | None = None  # task that wrote the (first) input
    parent_tid: int | None = None  # the same of an earlier request, when the ledger knows
    whole: bool = False  # the seeds are all that the parent delivered


def task_outputs(plan: Plan, step: StepRow, attempt: int) -> dict[str, str]:
    """Data type -> name of the dataset that an attempt of ours fills, the log last."""
    types = plan.step(step.kind).outputs
    return {data_type: plan.sample.dataset(step.kind, data_type, attempt, step.bunch) for data_type in types}


def build_order(
    ctx: Context, plan: Plan, step: StepRow, attempt: int, work: Work, inputs: Mapping[str, str]
) -> StepOrder:
    """What to have PanDA run for one attempt at a step."""
    planned, profile = plan.step(step.kind), ctx.catalogue.profile
    outputs = task_outputs(plan, step, attempt)
    return StepOrder(
        task_name=str(TaskName(plan.request_id, step.kind, step.bunch, attempt)),
        vo=profile.vo,
        campaign=plan.campaign,
        working_group=plan.working_group,
        processing_type=planned.processing_type,
        transform=planned.transform,
        script=planned.script,
        image=planned.image,
        queue=planned.queue,
        destination=planned.rse,
        cloud=ctx.catalogue.sites.cloud,
        priority=plan.priority,
        cores=planned.cores,
        ram_mb=planned.ram_mb,
        max_attempts=planned.max_attempts,
        events_per_job=planned.events_per_job,
        seeds=work.seeds,
        outputs={data_type: name for data_type, name in outputs.items() if data_type != LOG},
        log_dataset=outputs[LOG],
        inputs=dict(inputs) or None,
        parent_tid=work.parent.jedi_task_id if work.parent else work.parent_tid,
        event_argument=profile.event_argument,
        architecture=profile.architecture,
        token=profile.token,
    )
