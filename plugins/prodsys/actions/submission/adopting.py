"""Adopt: a PanDA task made by hand is linked to its request, after everything about it was compared.

From then on it is as if we had submitted it: the DAG's submit finds it, its wait waits for it, settle judges it, and
the rest of the chain runs by itself. History keeps its real names.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from prodsys.actions.core.context import Context
from prodsys.actions.planning.planning import publish_plan
from prodsys.actions.requests.importing import revision_row
from prodsys.actions.submission.adoption_inputs import Before, expected_of, read_before, read_task
from prodsys.errors import NotAdoptable, SpecInvalid
from prodsys.ledger.absent_files import used_attempts
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
from prodsys.ledger.tables import DatasetRow, PlanRow, RequestRow, SeedOutcomeRow, StepRow, TaskRow
from prodsys.ledger.tasks import find_task, seeds_of_task, to_multirange
from prodsys.model import seeds as seed_ranges
from prodsys.model.outcome import SeedState
from prodsys.model.plan import Plan, build_plan
from prodsys.model.statuses import FINAL, IntentState, RecordedStatus, RequestState
from prodsys.model.transitions import Action, Permission
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
    InvalidTransition
        The request is not recorded as running, approved or launched.
    TaskUnknown
        PanDA knows no such task.
    PandaUnavailable
        PanDA is away.
    """
    ctx.check_permission("adopt a task", Permission.ADOPT)
    with transaction(ctx.sessions) as session:
        row = get_request(session, request_id)
        linked = _linked(session, row, kind, jedi_task_id)
        if linked is None:
            _check_state(session, row)
    if linked is not None:
        return linked
    hand = read_task(ctx, jedi_task_id)
    before = read_before(ctx, request_id, kind)
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
    spec = get_spec(session, row.request_id)
    if spec.reads:
        raise SpecInvalid(row.request_id, "it works on files that exist", "adopt for the request that simulated them")
    if spec.bunches > 1:
        raise SpecInvalid(row.request_id, "it runs in bunches, a task made by hand is in one piece", "clone it without")


# --- what it is -------------------------------------------------------------------------------------------------------
def _link(
    session: Session, ctx: Context, row: RequestRow, kind: str, hand: HandMade, before: Before | None
) -> AdoptAnswer:
    _check_state(session, row)
    plan = _plan_of(session, ctx, row)
    expected = expected_of(ctx, row, plan, kind, before)
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
    write_audit(session, ctx.who, Action.ADOPT, row.request_id, step=kind, differences=said, **_detail(task))
    return _answer(row, kind, task, tuple(found), new=True)


def _plan_of(session: Session, ctx: Context, row: RequestRow) -> Plan:
    """The plan that was approved, or of history the one that it would have today."""
    if RequestState(row.state) is RequestState.RECORDED:
        return build_plan(get_spec(session, row.request_id), row.revision, ctx.catalogue)
    return approved_plan(session, row.request_id)


def _compare(hand: HandMade, expected: Expected, before: Before | None) -> tuple[list[Difference], tuple[int, ...]]:
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
    """No seed of the task may be another attempt's that runs or has delivered it, and no dataset another task's."""
    found, written = [], outputs_of_map(hand.task_map)
    for other in session.scalars(select(TaskRow).where(TaskRow.step_id == step.step_id)):
        if both := sorted(written.keys() & outputs_of_map(other.task_map).keys()):
            found.append(f"{other.task_name} writes {both[0]} too: nobody could tell their files apart")
        common = set(seeds) & set(seeds_of_task(other))
        if common and not other.final and IntentState(other.intent) is not IntentState.SPENT:
            found.append(f"seeds {_shown(common)} are those of {other.task_name} (task {other.jedi_task_id})")
    wanted = select(SeedOutcomeRow.seed).where(
        SeedOutcomeRow.step_id == step.step_id, SeedOutcomeRow.state == SeedState.DELIVERED
    )
    if delivered := set(session.scalars(wanted)) & set(seeds):
        found.append(f"seeds {_shown(delivered)} are delivered already")
    dids = DatasetRow.did.in_([f"{partition_of_outputs(hand)}:{name}" for name in written])
    for one in session.scalars(select(DatasetRow).where(dids, DatasetRow.request_id != row.request_id)):
        found.append(f"{one.did} is a dataset of {one.request_id}")
    if session.scalars(select(TaskRow).where(TaskRow.task_name == hand.info.task_name)).first():
        found.append(f"{hand.info.task_name} is the name of another task of the ledger")
    if found:
        raise NotAdoptable(hand.info.jedi_task_id, row.request_id, found)


def _shown(seeds: set[int]) -> str:
    return seed_ranges.show(seed_ranges.from_seeds(seeds))


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
        move(row, Action.ADOPT)
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
    used = used_attempts(session, step.step_id)
    said = attempt_of(hand, expected)
    return max(used) + 1 if said in used else said


def _task(step: StepRow, hand: HandMade, seeds: tuple[int, ...], attempt: int) -> TaskRow:
    info = hand.info
    return TaskRow(
        step_id=step.step_id,
        attempt=attempt,
        task_name=str(info.task_name),  # one without a name was refused
        seeds=to_multirange(seed_ranges.from_seeds(seeds)),
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
