"""Settle: a step seed by seed, the verdict, and what follows from it (DESIGN decision 7).

What follows is one of: go on; run again what is missing, as often as policy or a person says; ask a person.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from prodsys.actions.core.context import Context
from prodsys.actions.settlement.container_checks import check_room_for_more, closed_containers, said_of_closed
from prodsys.actions.settlement.late_files import take_late_files
from prodsys.actions.settlement.outcomes import settle_tasks, waive_missing, waived_before
from prodsys.actions.settlement.recovering import recovery_due, seeds_due, start_round
from prodsys.actions.settlement.step_questions import Question, ask
from prodsys.actions.submission.job_evidence import record_notes
from prodsys.actions.submission.submitting import ensure_submitted
from prodsys.actions.submission.waiting import WaitTarget, tasks_at_rest
from prodsys.errors import StepFailed, TaskEnded
from prodsys.ledger.requests import approved_plan, get_request, get_step
from prodsys.ledger.session import transaction
from prodsys.ledger.tables import StepRow, TaskRow
from prodsys.ledger.tasks import list_outcomes, list_step_tasks
from prodsys.model.outcome import SeedState, StepOutcome
from prodsys.model.plan import Plan
from prodsys.model.policy import Answer
from prodsys.model.reasons import reason_families, reason_of, show_some
from prodsys.model.statuses import FINAL, GOOD, WITH_OUTPUT, IntentState, TaskStatus, Verdict

REASONS_SHOWN = 5  # of seeds that did not come


@dataclass(frozen=True)
class SettleAnswer:
    """The verdict about a step, in a sentence, and what has to happen before the chain goes on."""

    verdict: Verdict | None
    message: str
    events: int = 0
    wait: WaitTarget | None = None  # a task to wait for; then settle again
    question: Question | None = None  # a person has to answer it; then settle again


def settle_step(ctx: Context, request_id: str, kind: str, bunch: int | None = None) -> SettleAnswer:
    """Compare what a step brought with the plan, seed by seed, and conclude; said again, nothing is done twice.

    Raises
    ------
    StepFailed
        A person (or the default of the question) said to stop.
    TaskEnded
        PanDA cannot work with the map of a task: another try would end like this one.
    PandaUnavailable
        PanDA is away.
    """
    with transaction(ctx.sessions) as session:
        plan, step = approved_plan(session, request_id), get_step(session, request_id, kind, bunch)
    _send_rest(ctx, step)
    tasks, still = tasks_at_rest(ctx, request_id, kind, bunch)
    if still is not None:
        return SettleAnswer(None, f"task {still.jedi_task_id} ({still.task_name}) is {still.status}", wait=still)
    _refuse_broken(step, tasks)
    outcome = settle_tasks(ctx, plan, step, tasks)
    if outcome.late and step.granted:
        check_room_for_more(ctx, request_id)
        take_late_files(ctx, plan, step)
        outcome = settle_tasks(ctx, plan, step, tasks)
    return _conclude(ctx, plan, (kind, bunch), outcome, _last_words(tasks))


def _send_rest(ctx: Context, step: StepRow) -> None:
    """A round of recovery that was begun and not sent is sent."""
    with transaction(ctx.sessions) as session:
        tasks = list_step_tasks(session, step.step_id)
    if any(task.jedi_task_id is None and task.intent != IntentState.SPENT for task in tasks):
        ensure_submitted(ctx, step.request_id, step.kind, step.bunch)


def _refuse_broken(step: StepRow, tasks: tuple[TaskRow, ...]) -> None:
    """A map that JEDI cannot read is broken again when it is sent again; only a person may ask for that."""
    last = tasks[-1]
    if TaskStatus(last.status or "") is TaskStatus.BROKEN and not step.granted:
        raise TaskEnded(last.jedi_task_id or 0, TaskStatus.BROKEN, last.status_reason)


def _last_words(tasks: tuple[TaskRow, ...]) -> list[str]:
    """What PanDA said of the tasks that ended without output."""
    ended = [task for task in tasks if TaskStatus(task.status or "") in FINAL - WITH_OUTPUT]
    return [str(TaskEnded(task.jedi_task_id or 0, task.status or "", task.status_reason)) for task in ended]


def _conclude(
    ctx: Context, plan: Plan, which: tuple[str, int | None], outcome: StepOutcome, last_words: list[str]
) -> SettleAnswer:
    with transaction(ctx.sessions) as session:
        step = get_step(session, plan.request_id, *which)
    message = "; ".join([in_words(step.kind, outcome), *last_words, *record_notes(outcome)])
    if recovery_due(plan, step, outcome) and _may_join(ctx, step):
        target = start_round(ctx, plan, step, outcome)
        again = f"; round {step.rounds + 1} runs {len(seeds_due(step, outcome))} seeds again: task {target.task_name}"
        return SettleAnswer(outcome.verdict, message + again, outcome.events, wait=target)
    verdict = Verdict(step.verdict or outcome.verdict)
    if verdict in GOOD and (step.waived or not outcome.ask_first):
        _go_on(ctx, plan, which, outcome)
        return SettleAnswer(verdict, message, outcome.events)
    return _ask(ctx, plan, step, outcome, message)


def _may_join(ctx: Context, step: StepRow) -> bool:
    """Whether what would run now can join its containers; a round that a person asked for is refused with the words."""
    if step.granted:
        check_room_for_more(ctx, step.request_id)
        return True
    return not closed_containers(ctx, step.request_id)


def _go_on(ctx: Context, plan: Plan, which: tuple[str, int | None], outcome: StepOutcome) -> None:
    """What is missing from an accepted step is waived, with who accepted it; no round is kept for a later loss."""
    with transaction(ctx.sessions) as session:
        if not outcome.missing and not get_step(session, plan.request_id, *which).granted:
            return
    with transaction(ctx.sessions) as session:
        get_request(session, plan.request_id, lock=True)
        step = get_step(session, plan.request_id, *which)
        step.granted = 0
        by_policy = f"policy: {outcome.percent:.4g} % is at or above {plan.accept_percent:g} %"
        waive_missing(
            list_outcomes(session, step.step_id), step.waived or by_policy, waived_before(session, plan, step)
        )


def _ask(ctx: Context, plan: Plan, step: StepRow, outcome: StepOutcome, message: str) -> SettleAnswer:
    families = error_families(outcome)
    warnings = [words for words in (outcome.ask_first, said_of_closed(ctx, plan.request_id)) if words]
    reasons = [message, *_in_families(families), *warnings]
    if outcome.verdict is Verdict.MISPAIRED:
        written = sorted({file.dataset for seed in outcome.seeds for file in seed.files.values()})
        reasons.append(f"PanDA's adder may have registered files in {', '.join(written)}: use none of them")
    question = ask(ctx, plan, step, outcome, families, warnings)
    if question.answer in {Answer.FAIL, Answer.ABORT}:
        raise StepFailed(plan.request_id, step.kind, outcome.verdict, "; ".join([*reasons, question.said]))
    if question.answer is not None:  # nobody answered in time, and the default goes on
        return settle_step(ctx, plan.request_id, step.kind, step.bunch)
    return SettleAnswer(outcome.verdict, "; ".join(reasons), outcome.events, question=question)


def _in_families(families: Sequence[tuple[str, tuple[int, ...]]]) -> list[str]:
    shown = families[:REASONS_SHOWN]
    return [f"{len(seeds)} x {reason}: seeds {show_some(seeds)}" for reason, seeds in shown]


def error_families(outcome: StepOutcome) -> list[tuple[str, tuple[int, ...]]]:
    """Why seeds are missing, the most frequent reason first, each with its seeds."""
    reasons = (
        (one.seed, reason_of(one.state, one.reason, one.lost_in))
        for one in outcome.seeds
        if one.state is not SeedState.DELIVERED
    )
    return [(family.reason, family.seeds) for family in reason_families(reasons)]


def in_words(kind: str, outcome: StepOutcome) -> str:
    """The outcome of a step in a sentence."""
    missing = show_some(outcome.missing) if outcome.missing else "none"
    return (
        f"{kind}: {len(outcome.delivered)} of {outcome.asked} seeds ({outcome.percent:.4g} %), "
        f"{outcome.events} events; missing: {missing}"
    )
