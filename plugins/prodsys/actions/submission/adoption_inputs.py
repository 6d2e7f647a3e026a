"""What adoption compares: a task made by hand as PanDA shows it, the step before it, and what its request asks for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import select

from prodsys.actions.core.context import Context
from prodsys.actions.submission.job_evidence import read_all_jobs
from prodsys.actions.submission.output_datasets import known_outputs, look_at_outputs
from prodsys.errors import SpecInvalid
from prodsys.ledger.requests import get_request, get_spec, get_step
from prodsys.ledger.session import transaction
from prodsys.ledger.tables import RequestRow, SeedOutcomeRow, TaskRow
from prodsys.ledger.tasks import newest_task, seeds_of_task
from prodsys.model import seeds as seed_ranges
from prodsys.model.outcome import JobRecord, SeedState
from prodsys.model.plan import Plan
from prodsys.model.statuses import FINAL, WITH_OUTPUT, JobStatus, RequestState, TaskStatus
from prodsys.panda.adoption import Expected, HandMade


@dataclass(frozen=True)
class Before:
    """The step before, whose files the task reads: its newest task."""

    kind: str
    jedi_task_id: int | None
    status: TaskStatus
    outputs: Mapping[str, str]  # dataset -> data type
    seeds: frozenset[int]


def read_task(ctx: Context, jedi_task_id: int) -> HandMade:
    """The task as PanDA shows it now; TaskUnknown when it knows none."""
    info = ctx.panda.get_task(jedi_task_id)
    jobs = (read_all_jobs if info.status in WITH_OUTPUT else _jobs_so_far)(ctx, jedi_task_id)
    return HandMade(info, ctx.panda.get_task_map(jedi_task_id), jobs)


def read_before(ctx: Context, request_id: str, kind: str) -> Before | None:
    """The step before this one, with the seeds it delivered; None for the first step.

    Raises
    ------
    SpecInvalid
        The request has no such step, or the one before has no task.
    """
    with transaction(ctx.sessions) as session:
        row = get_request(session, request_id)
        steps = [step.kind for step in ctx.catalogue.chain_of(get_spec(session, request_id)).steps]
        if kind not in steps:
            raise SpecInvalid("step", f"{request_id} has no {kind}", f"its steps: {', '.join(steps)}")
        if kind == steps[0]:
            return None
        earlier = steps[steps.index(kind) - 1]
        published = RequestState(row.state) is not RequestState.RECORDED
        task = newest_task(session, request_id, earlier) if published else None
    if task is None or task.jedi_task_id is None:
        raise SpecInvalid("step", f"{earlier} of {request_id} has no task yet", f"adopt the task of {earlier} first")
    look_at_outputs(ctx, task)
    return Before(
        earlier,
        task.jedi_task_id,
        ctx.panda.get_status(task.jedi_task_id),
        known_outputs(task),
        _delivered(ctx, request_id, earlier, task),
    )


def _delivered(ctx: Context, request_id: str, kind: str, task: TaskRow) -> frozenset[int]:
    """Seeds that the task of a step delivered: as it was settled, else as its jobs have ended."""
    with transaction(ctx.sessions) as session:
        step = get_step(session, request_id, kind)
        settled = step.verdict is not None
        wanted = select(SeedOutcomeRow.seed).where(
            SeedOutcomeRow.task_row_id == task.task_row_id, SeedOutcomeRow.state == SeedState.DELIVERED
        )
        delivered = frozenset(session.scalars(wanted))
    if settled:
        return delivered
    own = set(seeds_of_task(task))
    ended = TaskStatus(task.status or TaskStatus.UNSEEN) in FINAL
    jobs = (read_all_jobs if ended else _jobs_so_far)(ctx, task.jedi_task_id or 0)
    return frozenset(job.seed for job in jobs if job.status is JobStatus.FINISHED and job.seed in own and job.seed)


def _jobs_so_far(ctx: Context, jedi_task_id: int) -> tuple[JobRecord, ...]:
    return ctx.panda.get_jobs(jedi_task_id)


def expected_of(ctx: Context, row: RequestRow, plan: Plan, kind: str, before: Before | None) -> Expected:
    """What the request asks of a task of this step; of history, what it would ask today."""
    step, profile = plan.step(kind), ctx.catalogue.profile
    outputs: dict[str, list[str]] = {}
    for name, data_type in before.outputs.items() if before else ():
        outputs.setdefault(data_type, []).append(name)
    return Expected(
        request_id=row.request_id,
        kind=kind,
        vo=profile.vo,
        requester=row.requester,
        sample=plan.sample,
        seeds=before.seeds if before else frozenset(seed_ranges.iterate(plan.seeds)),
        events_per_job=step.events_per_job,
        script=step.script,
        image=step.image,
        transform=step.transform,
        processing_type=step.processing_type,
        outputs=frozenset(step.outputs),
        queues=frozenset(queue.name for queue in ctx.catalogue.sites.queues),
        inputs={data_type: " and ".join(outputs.get(data_type, ["nothing"])) for data_type in step.inputs},
        parent_tid=before.jedi_task_id if before else None,
        may_move=RequestState(row.state) is RequestState.RECORDED,
    )
