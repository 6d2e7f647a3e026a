"""Settle: a step seed by seed, and the verdict (DESIGN decision 7)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy.orm import Session

from prodsys.actions.context import Context
from prodsys.actions.counting import count_sample
from prodsys.actions.waiting import ensure_final
from prodsys.errors import StepFailed
from prodsys.ledger.journal import write_audit
from prodsys.ledger.requests import approved_plan, get_request, get_step
from prodsys.ledger.session import transaction
from prodsys.ledger.tables import FileRow, SeedOutcomeRow, StepRow, TaskRow
from prodsys.ledger.tasks import list_files, replace_outcome, seeds_of_task
from prodsys.model import seeds as seeds_of
from prodsys.model.outcome import SeedOutcome, SeedState, StepOutcome, StepQuestion, settle
from prodsys.model.plan import LOG, Plan, PlannedStep
from prodsys.model.statuses import GOOD, EventSource, Verdict

REASONS_SHOWN = 5  # of seeds that did not come


@dataclass(frozen=True)
class SettleAnswer:
    """The verdict about a step, in a sentence."""

    verdict: Verdict
    message: str
    events: int


def settle_step(ctx: Context, request_id: str, kind: str) -> SettleAnswer:
    """Compare what a step brought with the plan, seed by seed, and conclude.

    Raises
    ------
    StepFailed
        The verdict is not good enough to go on.
    TaskEnded
        The task failed as a whole; PanDA's own words are in the error.
    PandaUnavailable
        PanDA is away, or the task runs again.
    """
    task = ensure_final(ctx, request_id, kind)
    with transaction(ctx.sessions) as session:
        plan = approved_plan(session, request_id)
        question = _question(session, plan, plan.step(kind), task)
    assert task.jedi_task_id is not None  # a final task has one
    jobs = ctx.panda.get_jobs(task.jedi_task_id)
    outcome = count_sample(ctx, plan, settle(question, jobs))
    with transaction(ctx.sessions) as session:
        get_request(session, request_id, lock=True)  # one at a time writes down what became of a request
        step = get_step(session, request_id, kind)
        write_outcome(session, step, task, outcome)
        row = session.get(TaskRow, task.task_row_id)
        if row is not None:
            row.job_count = len(jobs)
        write_audit(
            session, ctx.who, "settle", request_id, step=kind, verdict=outcome.verdict, notes=list(outcome.notes)
        )
    return conclude(request_id, kind, outcome)


def _question(session: Session, plan: Plan, step: PlannedStep, task: TaskRow) -> StepQuestion:
    before = plan.before(step.kind)
    names = {plan.sample.dataset(step.kind, data_type, task.attempt): data_type for data_type in step.outputs}
    return StepQuestion(
        seeds=seeds_of_task(task),
        asked=seeds_of.count(plan.seeds),
        events_per_job=step.events_per_job,
        output_types=names,
        accept_percent=plan.accept_percent,
        input_seeds=_input_seeds(session, plan.request_id, before) if before else None,
    )


def _input_seeds(session: Session, request_id: str, before: PlannedStep) -> Mapping[str, int]:
    """LFN of every file the step before wrote -> its seed."""
    step = get_step(session, request_id, before.kind)
    return {file.lfn: file.seed for file in list_files(session, step.step_id) if file.data_type != LOG}


def write_outcome(session: Session, step: StepRow, task: TaskRow, outcome: StepOutcome) -> None:
    """Write a step's outcome in place of an earlier one."""
    rows = [_seed_row(step, task, seed) for seed in outcome.seeds]
    bound = [seed for seed in outcome.seeds if seed.state is not SeedState.MISPAIRED]  # those have files of two seeds
    files = [row for seed in bound for row in _file_rows(step, seed)]
    replace_outcome(session, step.step_id, rows, files)
    step.verdict, step.seeds_delivered, step.events = outcome.verdict, len(outcome.delivered), outcome.events
    step.notes = list(outcome.notes)
    step.counted_files = sum(seed.events_source is EventSource.COUNTED for seed in outcome.seeds)
    step.settled_at, step.data_ready_at = datetime.now(UTC), None  # what Rucio holds is to be compared with it again


def _seed_row(step: StepRow, task: TaskRow, seed: SeedOutcome) -> SeedOutcomeRow:
    return SeedOutcomeRow(
        step_id=step.step_id,
        seed=seed.seed,
        task_row_id=task.task_row_id,
        state=seed.state,
        reason=seed.reason,
        panda_job_id=seed.panda_job_id,
        site=seed.site,
        events=seed.events,
        events_source=seed.events_source,
    )


def _file_rows(step: StepRow, seed: SeedOutcome) -> list[FileRow]:
    return [
        FileRow(
            lfn=file.lfn,
            step_id=step.step_id,
            seed=seed.seed,
            data_type=data_type,
            dataset=file.dataset,
            panda_job_id=seed.panda_job_id or 0,
            bytes=file.bytes,
            adler32=file.adler32,
            events=0 if data_type == LOG else seed.events,
            events_source=seed.events_source,
        )
        for data_type, file in sorted(seed.files.items())
    ]


def conclude(request_id: str, kind: str, outcome: StepOutcome) -> SettleAnswer:
    """The answer for a good verdict; StepFailed for the others, with what PanDA's adder may have registered."""
    missing = seeds_of.show(seeds_of.from_seeds(outcome.missing)) if outcome.missing else "none"
    message = (
        f"{kind}: {len(outcome.delivered)} of {outcome.asked} seeds ({outcome.percent:.4g} %), "
        f"{outcome.events} events; missing: {missing}"
    )
    if outcome.verdict in GOOD:
        return SettleAnswer(outcome.verdict, message, outcome.events)
    reasons = sorted({f"seed {seed.seed}: {seed.reason}" for seed in outcome.seeds if seed.reason})[:REASONS_SHOWN]
    if outcome.verdict is Verdict.MISPAIRED:
        written = sorted({file.dataset for seed in outcome.seeds for file in seed.files.values()})
        reasons.append(f"PanDA's adder may have registered files in {', '.join(written)}: use none of them")
    raise StepFailed(request_id, kind, outcome.verdict, "; ".join([message, *reasons]))
