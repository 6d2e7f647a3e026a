"""Recover: run again what is missing and nothing else (DESIGN decision 7).

PanDA's own retry of the same task where that can work, else a further attempt whose seeds are exactly the missing ones,
with datasets of its own in the same containers.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from sqlalchemy.orm import Session

from prodsys.actions.core.context import Context
from prodsys.actions.settlement.missing_files import note_superseded
from prodsys.actions.submission.external_inputs import borrowed_parent
from prodsys.actions.submission.finished_seeds import granted_seeds, take_back
from prodsys.actions.submission.intents import check_driven, open_attempt
from prodsys.actions.submission.output_datasets import known_outputs
from prodsys.actions.submission.submitting import ensure_submitted
from prodsys.actions.submission.task_orders import Work
from prodsys.actions.submission.waiting import WaitTarget, task_to_wait_for
from prodsys.errors import PandaRefused
from prodsys.ledger.journal import write_audit
from prodsys.ledger.requests import get_request, get_step
from prodsys.ledger.session import transaction
from prodsys.ledger.tables import StepRow, TaskRow
from prodsys.ledger.tasks import delivered_by, list_step_tasks, seeds_of_task
from prodsys.model import seeds as seed_ranges
from prodsys.model.names import Did
from prodsys.model.outcome import SeedOutcome, StepOutcome
from prodsys.model.plan import Plan
from prodsys.model.statuses import GOOD, RETRYABLE, IntentState, TaskStatus, Verdict


def recovery_due(plan: Plan, step: StepRow, outcome: StepOutcome) -> bool:
    """Whether something that this step itself lost is to be run again now: a person asked, or the policy has a round.

    Seeds of which a job finished are none of it, unless a person named them.
    """
    if not seeds_due(step, outcome):
        return False
    if step.granted:
        return True
    if outcome.ask_first or not outcome.never_delivered:  # what was delivered once is run again by a person alone
        return False
    return Verdict(step.verdict or outcome.verdict) not in GOOD and step.rounds < plan.settle.rounds


def seeds_due(step: StepRow, outcome: StepOutcome) -> tuple[int, ...]:
    """Seeds that a round may run: those that JEDI proves unfinished, and those that a person wants run again."""
    own, granted = set(outcome.own_missing), set(granted_seeds(step))
    return tuple(one.seed for one in outcome.seeds if one.seed in own and (one.may_run_again or one.seed in granted))


def start_round(ctx: Context, plan: Plan, step: StepRow, outcome: StepOutcome) -> WaitTarget:
    """Begin one round of recovery; the task to wait for. Two processes that come together begin one round.

    Raises
    ------
    PandaUnavailable
        PanDA is away: the round is in the ledger, saying it again goes on.
    """
    due = set(seeds_due(step, outcome))
    lost = [one for one in outcome.seeds if one.seed in due]
    retried = _tasks_to_retry(ctx, plan, step, lost)
    with transaction(ctx.sessions) as session:
        get_request(session, plan.request_id, lock=True)
        check_driven(session, plan.request_id)
        row = get_step(session, plan.request_id, step.kind, step.bunch)
        mine = row.rounds == step.rounds
        if mine:
            seeds = [one.seed for one in lost]
            note_superseded(session, row, lost)
            if retried:
                _note_retries(session, retried)
            else:
                open_attempt(session, ctx, plan, row, _work(session, plan, row, seeds))
            _count(session, ctx, plan, row, seeds, retried)
    if mine and retried:
        _send_retries(ctx, retried)
    else:
        ensure_submitted(ctx, plan.request_id, step.kind, step.bunch)
    return task_to_wait_for(ctx, plan.request_id, step.kind, step.bunch)


def _count(
    session: Session, ctx: Context, plan: Plan, row: StepRow, seeds: Sequence[int], retried: Sequence[TaskRow]
) -> None:
    row.rounds, row.granted = row.rounds + 1, max(0, row.granted - 1)
    take_back(row, seeds)
    how = f"retry of {', '.join(task.task_name for task in retried)}" if retried else "new attempt"
    shown = seed_ranges.show(seed_ranges.from_seeds(seeds))
    words = {"step": row.kind, "bunch": row.bunch, "round": row.rounds, "seeds": shown, "how": how}
    write_audit(session, ctx.who, "recover", plan.request_id, **words)


def _work(session: Session, plan: Plan, step: StepRow, seeds: Sequence[int]) -> Work:
    """These seeds, whoever wrote their input; the parent is the writer of the first."""
    before = plan.before(step.kind)
    if before is None:
        return Work(tuple(seeds), parent_tid=borrowed_parent(session, plan, seeds) if plan.reading else None)
    wrote = get_step(session, plan.request_id, before.kind, step.bunch)
    writers = dict(delivered_by(session, wrote.step_id))
    return Work(tuple(seeds), writers.get(seeds[0]))


# --- PanDA's own retry ----------------------------------------------------------------------------------------------
def _tasks_to_retry(ctx: Context, plan: Plan, step: StepRow, lost: Sequence[SeedOutcome]) -> list[TaskRow]:
    """The tasks whose retry runs exactly what is missing; none when that cannot work and a new attempt is needed.

    JEDI runs failed inputs again, not jobs that finished with too little; what they write must find its dataset open.
    """
    if any(one.files for one in lost):
        return []
    with transaction(ctx.sessions) as session:
        tasks = list_step_tasks(session, step.step_id)
    holders = _last_holders(tasks, {one.seed for one in lost})
    if not all(_may_be_retried(task) for task in holders):
        return []
    return holders if all(_outputs_open(ctx, plan, task) for task in holders) else []


def _last_holders(tasks: Iterable[TaskRow], seeds: set[int]) -> list[TaskRow]:
    """The latest task of each of these seeds, in the order of attempts."""
    last = {seed: task for task in tasks if task.intent != IntentState.SPENT for seed in seeds & {*seeds_of_task(task)}}
    if set(last) != seeds:
        return []
    return sorted({task.task_row_id: task for task in last.values()}.values(), key=lambda task: task.attempt)


def _may_be_retried(task: TaskRow) -> bool:
    return TaskStatus(task.status or "") in RETRYABLE and not task.retries and not task.adopted


def _outputs_open(ctx: Context, plan: Plan, task: TaskRow) -> bool:
    for name in known_outputs(task):
        info = ctx.rucio.dataset_info(Did(plan.partition, name))
        if info is not None and not info.open:
            return False
    return True


def _note_retries(session: Session, tasks: Iterable[TaskRow]) -> None:
    for task in tasks:
        row = session.get(TaskRow, task.task_row_id, with_for_update=True)
        if row is not None:
            row.retries, row.retried_at, row.final = row.retries + 1, datetime.now(UTC), False


def _send_retries(ctx: Context, tasks: Iterable[TaskRow]) -> None:
    """Ask PanDA; what it refuses is as if it had not been asked, and the next round makes a new attempt."""
    for task in tasks:
        try:
            ctx.panda.retry(task.jedi_task_id or 0)
        except PandaRefused as refusal:
            with transaction(ctx.sessions) as session:
                row = session.get(TaskRow, task.task_row_id, with_for_update=True)
                if row is not None:
                    row.retried_at = None
                request_id = task.task_name.partition(".")[0]
                write_audit(session, ctx.who, "retry refused", request_id, task=task.jedi_task_id, words=str(refusal))
