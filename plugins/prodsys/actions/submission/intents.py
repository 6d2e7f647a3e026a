"""Intents: which tasks a step needs, written down before anything is sent (DESIGN decision 5).

A first step has one task for all its seeds. A step that reads has one task for each task that wrote: never one over a
container; so has a first step that reads what an earlier request wrote (`external_inputs`). Seeds that were run in vain
are run again by a further attempt (`prodsys.actions.settlement.recovering`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from sqlalchemy.orm import Session

from prodsys.actions.core.context import Context
from prodsys.actions.submission.external_inputs import borrowed_work
from prodsys.actions.submission.finished_seeds import refuse_finished
from prodsys.actions.submission.inputs import ensure_inputs, input_names
from prodsys.actions.submission.task_orders import Work, build_order
from prodsys.errors import RequestUnavailable, StepFailed
from prodsys.ledger.absent_files import next_attempt
from prodsys.ledger.journal import write_audit
from prodsys.ledger.requests import approved_plan, get_request, get_step, refusal
from prodsys.ledger.session import transaction
from prodsys.ledger.tables import StepRow, TaskRow
from prodsys.ledger.tasks import delivered_by, list_step_tasks, seeds_of_task, to_multirange
from prodsys.model import seeds as seed_ranges
from prodsys.model.plan import Plan
from prodsys.model.statuses import IntentState, RequestState
from prodsys.panda.task_map import build_reco_map, build_sim_map


def ensure_intents(ctx: Context, request_id: str, kind: str, bunch: int | None = None) -> tuple[TaskRow, ...]:
    """The tasks that a step needs now, in the order of attempts: those intended before, and those that are new.

    What an unsent one reads is in Rucio when this returns.

    Raises
    ------
    RequestUnavailable
        The request is paused.
    InvalidTransition
        Nobody drives it.
    StepFailed
        The step before delivered nothing.
    """
    with transaction(ctx.sessions) as session:
        check_driven(session, request_id)
        step = get_step(session, request_id, kind, bunch)
        session.refresh(step, with_for_update=True)
        plan = approved_plan(session, request_id)
        found = list_step_tasks(session, step.step_id)
        for work in _wanted(session, plan, step, found):
            found.append(open_attempt(session, ctx, plan, step, work))
    usable = tuple(task for task in found if task.intent != IntentState.SPENT)
    for task in usable:
        if task.inputs and task.intent == IntentState.INTENDED:
            ensure_inputs(ctx, plan, step, task)
    return usable


def _wanted(session: Session, plan: Plan, step: StepRow, found: Sequence[TaskRow]) -> Iterator[Work]:
    """What no task does yet: all seeds of a first step; seeds that came and that nobody reads, for the others."""
    before = plan.before(step.kind)
    if before is None and plan.reading is not None:
        new = list(borrowed_work(session, plan, step, _read_by(found)))
        if not new and not found:
            raise StepFailed(plan.request_id, step.kind, "failed", "the input holds none of its seeds")
        yield from new
        return
    if before is None:
        if not found:
            yield Work(tuple(seed_ranges.iterate(plan.seeds_of_bunch(step.bunch))))
        return
    written = delivered_by(session, get_step(session, plan.request_id, before.kind, step.bunch).step_id)
    if not written and not found:
        raise StepFailed(plan.request_id, step.kind, "failed", "the step before delivered no seed")
    yield from group_by_writer(written, _read_by(found))


def _read_by(tasks: Iterable[TaskRow]) -> frozenset[int]:
    return frozenset(seed for task in tasks for seed in seeds_of_task(task))


def group_by_writer(written: Iterable[tuple[int, TaskRow]], read: frozenset[int]) -> Iterator[Work]:
    """One piece of work for each task that wrote seeds which nobody reads yet; ``written`` is seed and writer."""
    seeds: dict[int, list[int]] = defaultdict(list)
    writers: dict[int, TaskRow] = {}
    for seed, task in written:
        seeds[task.task_row_id].append(seed)
        writers[task.task_row_id] = task
    for row_id in sorted(seeds):
        left = tuple(seed for seed in seeds[row_id] if seed not in read)
        if left:
            yield Work(left, writers[row_id], whole=len(left) == len(seeds[row_id]))


def open_attempt(session: Session, ctx: Context, plan: Plan, step: StepRow, work: Work) -> TaskRow:
    """A new intent of a step, in the caller's transaction; the database refuses seeds of an open attempt.

    Raises
    ------
    SeedsFinished
        A job of one of its seeds finished, and no person wants it run again.
    """
    refuse_finished(session, step, work.seeds)
    attempt = next_attempt(session, step.step_id)
    inputs = input_names(session, plan, step, attempt, work)
    priority = get_request(session, plan.request_id).priority  # a person may have changed it since it was planned
    order = replace(build_order(ctx, plan, step, attempt, work, inputs), priority=priority)
    task = TaskRow(
        step_id=step.step_id,
        attempt=attempt,
        bunch=step.bunch,
        task_name=order.task_name,
        seeds=to_multirange(seed_ranges.from_seeds(order.seeds)),
        task_map=build_reco_map(order) if inputs else build_sim_map(order),
        parent_tid=order.parent_tid,
        inputs=inputs,
        intent=IntentState.INTENDED,
        twins=[],
        status_reason="",
        sent_count=0,
        final=False,
    )
    session.add(task)
    write_audit(session, ctx.who, "intend", plan.request_id, task_name=order.task_name, seeds=len(order.seeds))
    session.flush()
    return task


def check_driven(session: Session, request_id: str) -> None:
    """Nothing is submitted for a request that nobody drives: an abort wins over a run that has not heard of it."""
    row = get_request(session, request_id)
    if RequestState(row.state) is RequestState.PAUSED:
        raise RequestUnavailable(request_id, row.state)
    if RequestState(row.state) is not RequestState.RUNNING:
        raise refusal(row, "submitting")
