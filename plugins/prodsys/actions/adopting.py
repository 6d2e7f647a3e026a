"""Adopt: a PanDA task made by hand is linked to its request, after everything about it was compared.

From then on it is as if we had submitted it: the DAG's submit finds it, its wait waits for it, settle judges it, and
the rest of the chain runs by itself. History keeps its real names.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from prodsys.actions.context import Context
from prodsys.actions.importing import revision_row
from prodsys.actions.planning import publish_plan
from prodsys.errors import NotAdoptable, SpecInvalid, TaskUnknown
from prodsys.ledger.journal import write_audit
from prodsys.ledger.requests import (
    approved_plan,
    find_plan,
    get_request,
    get_revision,
    get_spec,
    get_step,
    move,
    refusal,
)
from prodsys.ledger.session import transaction
from prodsys.ledger.tables import PlanRow, RequestRow, SeedOutcomeRow, StepRow, TaskRow
from prodsys.ledger.tasks import find_task, newest_task, seeds_of_task, to_multirange
from prodsys.model import seeds as seeds_of
from prodsys.model.moves import Act, Right
from prodsys.model.outcome import SeedState
from prodsys.model.plan import Plan, build_plan
from prodsys.model.statuses import FINAL, IntentState, JobStatus, RecordedStatus, RequestState, TaskStatus
from prodsys.panda.adoption import (
    Difference,
    Expected,
    HandMade,
    attempt_of,
    compare,
    partition_of_outputs,
    seeds_of_hand_made,
)
from prodsys.panda.task_map import inputs_of_map, outputs_of_map

WAITING = frozenset({RequestState.RECORDED, RequestState.APPROVED, RequestState.DELAYED})
LAUNCHED = frozenset({RequestState.READY, RequestState.RUNNING, RequestState.PAUSED, RequestState.FAILED})


@dataclass(frozen=True)
class AdoptAnswer:
    """What was linked, and in what it differs from what we would have submitted."""

    request_id: str
    state: str
    step: str
    jedi_task_id: int
    task_name: str
    attempt: int
    seeds: str
    differences: tuple[Difference, ...]
    new: bool  # False: it was linked before


def adopt(ctx: Context, request_id: str, kind: str, jedi_task_id: int) -> AdoptAnswer:
    """Link a task made by hand to a step of a request; said again, nothing changes.

    A request that the book calls running is planned, approved and launched by it; so is an approved one.

    Raises
    ------
    NotAdoptable
        The task is not what the request asks for; all differences that do harm are named.
    MoveRefused
        The request is not recorded as running, approved or launched.
    TaskUnknown
        PanDA knows no such task.
    PandaUnavailable
        PanDA is away.
    """
    ctx.check_right("adopt a task", Right.ADOPT)
    with transaction(ctx.sessions) as session:
        row = get_request(session, request_id)
        linked = _linked(session, row, kind, jedi_task_id)
        if linked is None:
            _check_state(session, row)
    if linked is not None:
        return linked
    hand = _read(ctx, jedi_task_id)
    before = _read_before(ctx, request_id, kind)
    with transaction(ctx.sessions) as session:
        row = get_request(session, request_id, lock=True)
        return _linked(session, row, kind, jedi_task_id) or _link(session, ctx, row, kind, hand, before)


# --- may it be --------------------------------------------------------------------------------------------------------
def _linked(session: Session, row: RequestRow, kind: str, jedi_task_id: int) -> AdoptAnswer | None:
    """The answer about a task that the ledger has already; NotAdoptable when it has it for something else."""
    task = find_task(session, jedi_task_id)
    if task is None:
        return None
    step = session.get_one(StepRow, task.step_id)
    if (step.request_id, step.kind) != (row.request_id, kind):
        raise NotAdoptable(jedi_task_id, row.request_id, [f"it is the task of {step.request_id} {step.kind}"])
    return _answer(row, kind, task, (), new=False)


def _check_state(session: Session, row: RequestRow) -> None:
    state = RequestState(row.state)
    if state not in WAITING | LAUNCHED:
        raise refusal(row, "adopting a task")
    if state is RequestState.RECORDED and row.recorded_status != RecordedStatus.RUNNING:
        raise refusal(row, f"adopting a task (the book calls it {row.recorded_status}, not running)")
    if get_spec(session, row.request_id).bunches > 1:
        raise SpecInvalid(row.request_id, "it runs in bunches, a task made by hand is in one piece", "clone it without")


@dataclass(frozen=True)
class _Before:
    """The step before, whose files the task reads."""

    kind: str
    jedi_task_id: int | None
    status: TaskStatus
    outputs: Mapping[str, str]  # dataset -> data type
    seeds: frozenset[int]


def _read(ctx: Context, jedi_task_id: int) -> HandMade:
    """The task as PanDA shows it now."""
    info = ctx.panda.get_task(jedi_task_id)
    if info.status is TaskStatus.UNKNOWN:
        raise TaskUnknown(jedi_task_id)
    return HandMade(info, ctx.panda.get_task_map(jedi_task_id), ctx.panda.get_jobs(jedi_task_id))


def _read_before(ctx: Context, request_id: str, kind: str) -> _Before | None:
    """The step before this one, with the seeds it delivered; None for the first step.

    Raises
    ------
    SpecInvalid
        The request has no such step, or the one before has no task.
    NotAdoptable
        The step before has not ended: PanDA pairs what it has not written yet.
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
    return _Before(
        earlier,
        task.jedi_task_id,
        ctx.panda.get_status(task.jedi_task_id),
        outputs_of_map(task.task_map),
        _delivered(ctx, request_id, earlier, task),
    )


def _delivered(ctx: Context, request_id: str, kind: str, task: TaskRow) -> frozenset[int]:
    """Seeds that a step delivered: as it was settled, else as its jobs have ended."""
    with transaction(ctx.sessions) as session:
        step = get_step(session, request_id, kind)
        settled = step.verdict is not None
        wanted = select(SeedOutcomeRow.seed).where(
            SeedOutcomeRow.step_id == step.step_id, SeedOutcomeRow.state == SeedState.DELIVERED
        )
        delivered = frozenset(session.scalars(wanted))
    if settled:
        return delivered
    own = set(seeds_of_task(task))
    jobs = ctx.panda.get_jobs(task.jedi_task_id or 0)
    return frozenset(job.seed for job in jobs if job.status is JobStatus.FINISHED and job.seed in own and job.seed)


# --- what it is -------------------------------------------------------------------------------------------------------
def _link(
    session: Session, ctx: Context, row: RequestRow, kind: str, hand: HandMade, before: _Before | None
) -> AdoptAnswer:
    _check_state(session, row)
    plan = _plan_of(session, ctx, row)
    expected = _expected(ctx, row, plan, kind, before)
    found, seeds = _compare(hand, expected, before)
    if harm := [str(one) for one in found if not one.harmless]:
        raise NotAdoptable(hand.info.jedi_task_id, row.request_id, harm)
    if expected.may_move and plan.partition != partition_of_outputs(hand):
        plan = _move_to(session, ctx, row, plan, partition_of_outputs(hand))
    _launch(session, ctx, row, plan)
    step = get_step(session, row.request_id, kind)
    session.refresh(step, with_for_update=True)
    _check_free(session, row, step, hand, seeds)
    task = _task(step, hand, seeds, _attempt(session, step, hand, expected))
    session.add(task)
    session.flush()
    said = [str(one) for one in found]
    write_audit(session, ctx.who, Act.ADOPT, row.request_id, step=kind, differences=said, **_detail(task))
    return _answer(row, kind, task, tuple(found), new=True)


def _plan_of(session: Session, ctx: Context, row: RequestRow) -> Plan:
    """The plan that was approved, or of history the one that it would have today."""
    if RequestState(row.state) is RequestState.RECORDED:
        return build_plan(get_spec(session, row.request_id), row.revision, ctx.catalogue)
    return approved_plan(session, row.request_id)


def _expected(ctx: Context, row: RequestRow, plan: Plan, kind: str, before: _Before | None) -> Expected:
    step, profile = plan.step(kind), ctx.catalogue.profile
    outputs = {data_type: name for name, data_type in before.outputs.items()} if before else {}
    return Expected(
        request_id=row.request_id,
        kind=kind,
        vo=profile.vo,
        requester=row.requester,
        sample=plan.sample,
        seeds=before.seeds if before else frozenset(seeds_of.iterate(plan.seeds)),
        events_per_job=step.events_per_job,
        script=step.script,
        image=step.image,
        transform=step.transform,
        processing_type=step.processing_type,
        outputs=frozenset(step.outputs),
        queues=frozenset(queue.name for queue in ctx.catalogue.sites.queues),
        inputs={data_type: outputs.get(data_type, "nothing") for data_type in step.inputs},
        parent_tid=before.jedi_task_id if before else None,
        may_move=RequestState(row.state) is RequestState.RECORDED,
    )


def _compare(hand: HandMade, expected: Expected, before: _Before | None) -> tuple[list[Difference], tuple[int, ...]]:
    """All differences, and the seeds of the task."""
    try:
        seeds = tuple(sorted(before.seeds)) if before else seeds_of_hand_made(hand)
        found = compare(hand, expected, seeds)
    except SpecInvalid as error:
        return [Difference("map", f"{error.message} ({error.remedy})", "a map that says what it does")], ()
    if before and before.status not in FINAL:
        early = f"it reads what {before.kind} (task {before.jedi_task_id}, {before.status}) still writes"
        remedy = f"pause it and adopt the task when {before.kind} has ended, or kill the task"
        found.insert(0, Difference("time", early, f"{expected.kind} after {before.kind}: {remedy}"))
    return found, seeds


def _check_free(session: Session, row: RequestRow, step: StepRow, hand: HandMade, seeds: tuple[int, ...]) -> None:
    """No seed of the task may be another attempt's that runs or has delivered it; no dataset another request's."""
    found = []
    for other in session.scalars(select(TaskRow).where(TaskRow.step_id == step.step_id)):
        common = set(seeds) & set(seeds_of_task(other))
        if common and not other.final and IntentState(other.intent) is not IntentState.SPENT:
            found.append(f"seeds {_shown(common)} are those of {other.task_name} (task {other.jedi_task_id})")
    wanted = select(SeedOutcomeRow.seed).where(
        SeedOutcomeRow.step_id == step.step_id, SeedOutcomeRow.state == SeedState.DELIVERED
    )
    if delivered := set(session.scalars(wanted)) & set(seeds):
        found.append(f"seeds {_shown(delivered)} are delivered already")
    if session.scalars(select(TaskRow).where(TaskRow.task_name == hand.info.task_name)).first():
        found.append(f"{hand.info.task_name} is the name of another task of the ledger")
    if found:
        raise NotAdoptable(hand.info.jedi_task_id, row.request_id, found)


def _shown(seeds: set[int]) -> str:
    return seeds_of.show(seeds_of.from_seeds(seeds))


# --- what becomes of it -----------------------------------------------------------------------------------------------
def _move_to(session: Session, ctx: Context, row: RequestRow, plan: Plan, partition: str) -> Plan:
    """History keeps its real names: the request stands in the partition in which its task writes."""
    ctx.catalogue.partitions.policy_of(partition)
    spec = plan.spec.model_copy(update={"partition": partition})
    source = get_revision(session, row.request_id).source | {"partition of its task": partition}
    row.revision += 1
    session.add(revision_row(ctx.who, spec, row.revision, source))
    session.flush()
    return build_plan(spec, row.revision, ctx.catalogue)


def _launch(session: Session, ctx: Context, row: RequestRow, plan: Plan) -> None:
    """Plan, approve and publish what was recorded only; launch what waits."""
    state = RequestState(row.state)
    if state in WAITING:
        move(row, Act.ADOPT)
        row.not_before = None
        session.flush()
    if state is RequestState.RECORDED:
        stored = find_plan(session, row.request_id)
        if stored is None or stored.digest != plan.digest():
            body = plan.model_dump(mode="json")
            key = {"request_id": row.request_id, "digest": plan.digest(), "revision": row.revision}
            stored = PlanRow(**key, body=body, planned_by=ctx.who)
            session.add(stored)
            session.flush()
        stored.approved_by = ctx.who
        publish_plan(session, ctx.who, row, stored, plan)
        session.flush()


def _attempt(session: Session, step: StepRow, hand: HandMade, expected: Expected) -> int:
    """Number that names of task and datasets say, or 1; the next free one when another attempt has it."""
    used = set(session.scalars(select(TaskRow.attempt).where(TaskRow.step_id == step.step_id)))
    said = attempt_of(hand, expected)
    return max(used) + 1 if said in used else said


def _task(step: StepRow, hand: HandMade, seeds: tuple[int, ...], attempt: int) -> TaskRow:
    info = hand.info
    return TaskRow(
        step_id=step.step_id,
        attempt=attempt,
        task_name=str(info.task_name),  # one without a name was refused
        seeds=to_multirange(seeds_of.from_seeds(seeds)),
        task_map=dict(hand.task_map),
        parent_tid=info.parent_tid,
        inputs=inputs_of_map(hand.task_map),
        adopted=True,
        intent=IntentState.CONFIRMED,
        sent_count=0,
        jedi_task_id=info.jedi_task_id,
        twins=[],
        status_reason="",  # the status is read by the wait, as of any task
        final=False,
    )


def _detail(task: TaskRow) -> dict[str, object]:
    return {"jedi_task_id": task.jedi_task_id, "task_name": task.task_name, "seeds": _shown(set(seeds_of_task(task)))}


def _answer(row: RequestRow, kind: str, task: TaskRow, found: tuple[Difference, ...], *, new: bool) -> AdoptAnswer:
    return AdoptAnswer(
        request_id=row.request_id,
        state=row.state,
        step=kind,
        jedi_task_id=task.jedi_task_id or 0,
        task_name=task.task_name,
        attempt=task.attempt,
        seeds=_shown(set(seeds_of_task(task))),
        differences=found,
        new=new,
    )
