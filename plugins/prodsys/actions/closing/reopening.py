"""Start a request again where the ledger stands: retry, recover, accept what is there, settle again after a close."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from sqlalchemy.orm import Session

from prodsys.actions.core.context import Context
from prodsys.actions.runs.launching import LaunchAnswer, start
from prodsys.actions.runs.run_ownership import release_run
from prodsys.actions.settlement.container_checks import check_room_for_more
from prodsys.actions.settlement.step_questions import answer, last_answer, open_questions
from prodsys.actions.submission.finished_seeds import grant_seeds, is_own_missing, to_run_again
from prodsys.actions.submission.waiting import has_ended
from prodsys.errors import AnswerRefused, AttemptOpen, NothingMissing, ServiceUnavailable, SpecInvalid, TaskUnknown
from prodsys.ledger.journal import write_audit
from prodsys.ledger.requests import get_request, list_steps, move, refusal
from prodsys.ledger.session import transaction
from prodsys.ledger.tables import RequestRow, StepRow, TaskRow
from prodsys.ledger.tasks import is_open, list_outcomes, list_step_tasks, seeds_of_task
from prodsys.model import seeds as seed_ranges
from prodsys.model.outcome import SeedState
from prodsys.model.policy import Answer
from prodsys.model.reasons import show_some
from prodsys.model.statuses import DELIVERED, FINAL, WITH_OUTPUT, IntentState, RequestState, TaskStatus
from prodsys.model.text import clean_reason
from prodsys.model.transitions import Action, Permission, find_move

Prepared = tuple[Mapping[str, object], str]  # words of the audit line, and what is said of it


@dataclass(frozen=True)
class Restarted:
    """What was asked for again, and the run that does it; `launch` None: the run that waits for an answer goes on."""

    request_id: str
    state: str
    message: str
    launch: LaunchAnswer | None = None


def retry(ctx: Context, request_id: str, *, wait: bool = True) -> Restarted:
    """Start another run of a failed request: it goes on where the ledger stands, nothing is done twice.

    A step whose PanDA task ended without any output would fail as it did before: it is run again, as `recover` does.

    Raises
    ------
    InvalidTransition
        The request has not failed.
    PandaUnavailable
        A step brought nothing, and PanDA does not say whether its tasks have ended.
    """
    ctx.check_permission("retry", Permission.REPAIR)
    fruitless = _fruitless(ctx, request_id)

    def grant(session: Session, _: RequestRow) -> Prepared:
        again = _grant(session, ctx, [step for step in list_steps(session, request_id) if step.step_id in fruitless])
        words = f"; runs again {_in_words(again)}" if again else ""
        return {"again": again} if again else {}, f"goes on where it stands{words}"

    return _again(ctx, request_id, Action.RETRY, grant, wait=wait)


def recover(ctx: Context, request_id: str, reason: str = "", *, wait: bool = True) -> Restarted:
    """Run again what is missing and nothing else; of a request that waits for an answer this is the answer.

    Raises
    ------
    AnswerRefused
        It waits for more than one answer: each question is answered by its number.
    NothingMissing
        Every seed came, or what is missing was never run.
    AttemptOpen
        A task on these seeds may still bring them: what was delivered cannot be established.
    InvalidTransition
        The request runs, or cannot be opened again.
    DatasetConflict
        It was complete once, and its containers are closed.
    """
    ctx.check_permission("recover", Permission.REPAIR)
    reason = clean_reason(reason)
    if answered := _as_answer(ctx, request_id, Answer.RECOVER, reason):
        return answered
    _check_final(ctx, request_id)

    def grant(session: Session, _: RequestRow) -> Prepared:
        late = _late(session, list_steps(session, request_id))
        missing = _grant(session, ctx, list_steps(session, request_id))
        if not missing:
            raise NothingMissing(request_id)
        rest = {step: seeds for step, seeds in missing.items() if step not in late or seeds != late[step]}
        said = [f"takes what came late: {_in_words(late)}"] if late else []
        said += [f"runs again {_in_words(rest)}"] if rest else []
        return {"missing": missing, "late": late, "reason": reason}, "; ".join(said)

    return _again(ctx, request_id, Action.RECOVER, grant, wait=wait)


def accept(ctx: Context, request_id: str, reason: str, *, wait: bool = True) -> Restarted:
    """Take what came and waive the rest, with the reason; of a request that waits for an answer this is the answer.

    Raises
    ------
    AnswerRefused
        It waits for more than one answer: what one bunch lost is not waived by a word about another.
    SpecInvalid
        The reason is missing.
    NothingMissing
        There is nothing to waive, or nothing came at all.
    InvalidTransition
        The request has not failed.
    """
    ctx.check_permission("accept a partial result", Permission.ACCEPT)
    reason = clean_reason(reason)
    if not reason:
        raise SpecInvalid("reason", "accepting a partial result needs one", "it stands in the certificate")
    if answered := _as_answer(ctx, request_id, Answer.ACCEPT, reason):
        return answered

    def waive(session: Session, row: RequestRow) -> Prepared:
        if find_move(RequestState(row.state), Action.ACCEPT) is None:
            raise refusal(row, Action.ACCEPT)
        steps = [step for step in list_steps(session, request_id) if step.seeds_delivered and _missing(session, step)]
        if not steps:
            raise NothingMissing(request_id)
        waived = {_name_of(step): show_some(_missing(session, step) or ()) for step in steps}
        for step in steps:
            step.waived, step.granted = f"{ctx.who}: {reason}", 0
        words = {"reason": reason, "steps": [step.kind for step in steps]}
        return words, f"goes on without {_in_words(waived)} (waived by {ctx.who}: {reason})"

    return _again(ctx, request_id, Action.ACCEPT, waive, wait=wait)


def settle_again(ctx: Context, request_id: str, reason: str, *, wait: bool = True) -> Restarted:
    """Look again at a closed request whose tasks changed; its certificate gets a new revision.

    Raises
    ------
    InvalidTransition
        The request is not closed.
    """
    ctx.check_permission("settle again", Permission.REPAIR)
    reason = clean_reason(reason)
    return _again(ctx, request_id, Action.REOPEN, lambda *_: ({"reason": reason}, "is settled again"), wait=wait)


def reopen_running(ctx: Context, request_id: str, reason: str) -> Restarted:
    """Have another run settle what changed behind the one that drives; that one ends.

    Raises
    ------
    InvalidTransition
        The request does not run.
    """
    with transaction(ctx.sessions) as session:
        row = get_request(session, request_id, lock=True)
        if not _is_on_its_way(row):
            release_run(session, request_id, reason[:500], "failed")
            move(row, Action.FAIL, reason)
            _restart(session, ctx, row, Action.RETRY, {"reason": reason})
    try:
        return _start(ctx, request_id, "is settled again", wait=False)
    except ServiceUnavailable as error:  # the dispatcher will
        return Restarted(request_id, RequestState.READY, str(error))


def _again(
    ctx: Context, request_id: str, act: Action, prepare: Callable[[Session, RequestRow], Prepared], *, wait: bool
) -> Restarted:
    """Open a request again under a new run, unless that was done a moment ago; ``prepare`` changes the ledger first."""
    with transaction(ctx.sessions) as session:
        row = get_request(session, request_id, lock=True)
        if _is_on_its_way(row):
            return Restarted(request_id, row.state, "it is on its way already")
        words, message = prepare(session, row)
        _restart(session, ctx, row, act, words)
    return _start(ctx, request_id, message, wait=wait)


def _is_on_its_way(row: RequestRow) -> bool:
    """Whether somebody started it again a moment ago: saying it twice is no error."""
    return RequestState(row.state) is RequestState.READY and row.runs > 1


def _restart(session: Session, ctx: Context, row: RequestRow, act: Action, words: Mapping[str, object]) -> None:
    move(row, act)
    row.runs, row.launched_at, row.closed_at = row.runs + 1, None, None
    write_audit(session, ctx.who, act, row.request_id, run=row.runs, **words)


def _start(ctx: Context, request_id: str, message: str, *, wait: bool) -> Restarted:
    started = start(ctx, request_id, wait=wait)
    with transaction(ctx.sessions) as session:
        state = get_request(session, request_id).state
    return Restarted(request_id, state, f"{message}; {started.message}", started)


def _as_answer(ctx: Context, request_id: str, given: Answer, reason: str) -> Restarted | None:
    """What an act on a request is while a person is asked: the answer; None when nobody is.

    Said again before the run has heard it, the run is told again; another question is not answered by that.
    """
    asked = open_questions(ctx, request_id)
    question = last_answer(ctx, request_id, given) or next(iter(asked), None)
    if question is None:
        return None
    if question.answer is None and len(asked) > 1:
        numbers = ", ".join(str(one.question_id) for one in asked)
        remedy = f"answer each by its number: prodsys request answer N '{given}'"
        raise AnswerRefused(question.question_id, f"{request_id} waits for {len(asked)} answers ({numbers}); {remedy}")
    taken = answer(ctx, question.question_id, given, reason)
    with transaction(ctx.sessions) as session:
        state = get_request(session, request_id).state
    others = [str(one.question_id) for one in asked if one.question_id != taken.question_id]
    left = f"; not answered: {', '.join(others)} (prodsys request answer N)" if others else ""
    return Restarted(request_id, state, f"question {taken.question_id}: {taken.said}{left}")


def _check_final(ctx: Context, request_id: str) -> None:
    """Every task has ended, asked of PanDA now, not of what the ledger saw."""
    with transaction(ctx.sessions) as session:
        row = get_request(session, request_id)
        if not (_is_on_its_way(row) or RequestState(row.state) in {RequestState.FAILED, *DELIVERED}):
            raise refusal(row, Action.RECOVER)
        steps = list_steps(session, request_id)
        tasks = [task for step in steps for task in list_step_tasks(session, step.step_id)]
        missing = any(_missing(session, step) for step in steps)
    if open_ones := _still_open(ctx, tasks):
        raise AttemptOpen(request_id, open_ones)
    if missing:
        check_room_for_more(ctx, request_id)


def _still_open(ctx: Context, tasks: Iterable[TaskRow]) -> list[str]:
    """The tasks that may still bring something; one that PanDA does not show may be on its way."""
    found = []
    for task in tasks:
        if task.jedi_task_id is None and is_open(task):
            found.append(task.task_name)
        elif task.jedi_task_id is not None and not _is_final(ctx, task.jedi_task_id):
            found.append(f"{task.task_name} ({task.jedi_task_id})")
    return found


def _is_final(ctx: Context, jedi_task_id: int) -> bool:
    try:
        return ctx.panda.get_status(jedi_task_id) in FINAL
    except TaskUnknown:
        return False


def _fruitless(ctx: Context, request_id: str) -> frozenset[int]:
    """Steps of a failed request whose latest task ended without output, that delivered nothing and rest in PanDA."""
    with transaction(ctx.sessions) as session:
        if RequestState(get_request(session, request_id).state) is not RequestState.FAILED:
            return frozenset()
        steps = [step.step_id for step in list_steps(session, request_id) if not step.seeds_delivered]
        tasks = {step_id: list_step_tasks(session, step_id) for step_id in steps}
    return frozenset(
        step_id for step_id, found in tasks.items() if _ended_in_vain(found) and not _still_open(ctx, found)
    )


def _ended_in_vain(tasks: Iterable[TaskRow]) -> bool:
    """Whether the latest of these tasks of a step ended and has no output."""
    usable = [task for task in tasks if task.intent != IntentState.SPENT]
    return bool(usable) and has_ended(usable[-1]) and TaskStatus(usable[-1].status or "") not in WITH_OUTPUT


def _in_words(again: Mapping[str, str]) -> str:
    return ", ".join(f"{step}: seeds {seeds}" for step, seeds in again.items())


def _grant(session: Session, ctx: Context, steps: Iterable[StepRow]) -> dict[str, str]:
    """One more round for every step that lost seeds itself; step -> its missing seeds."""
    found: dict[str, str] = {}
    for step in steps:
        missing = _missing(session, step)
        if missing is None or missing:
            step.granted, step.waived = max(1, step.granted), ""
            grant_seeds(ctx, step, to_run_again(list_outcomes(session, step.step_id), step))
            found[_name_of(step)] = seed_ranges.show(
                seed_ranges.from_seeds(_seeds_run(session, step) if missing is None else missing)
            )
    return found


def _name_of(step: StepRow) -> str:
    return step.kind if step.bunch is None else f"{step.kind} bunch {step.bunch}"


def _missing(session: Session, step: StepRow) -> list[int] | None:
    """Seeds that the step itself lost; None when it has tasks and was never settled, [] when it was not begun."""
    rows = list_outcomes(session, step.step_id)
    if not rows:
        return None if list_step_tasks(session, step.step_id) else []
    return [one.seed for one in rows if is_own_missing(one, step)]


def _late(session: Session, steps: Iterable[StepRow]) -> dict[str, str]:
    """Step -> its seeds whose files came when their datasets were closed: they are registered, not run again."""
    found = {}
    for step in steps:
        if seeds := [one.seed for one in list_outcomes(session, step.step_id) if one.state == SeedState.LATE]:
            found[_name_of(step)] = seed_ranges.show(seed_ranges.from_seeds(seeds))
    return found


def _seeds_run(session: Session, step: StepRow) -> list[int]:
    """Every seed that a task of the step was to run; what of them came, settle finds out."""
    return sorted({seed for task in list_step_tasks(session, step.step_id) for seed in seeds_of_task(task)})
