"""Ask a person about a step that brought too little, and take the answer: once, from whatever side it comes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http import HTTPStatus

from sqlalchemy.orm import Session

from prodsys.actions.core.context import Context
from prodsys.actions.runs.aborting import abort
from prodsys.actions.runs.run_ownership import waiting_run
from prodsys.actions.settlement.container_checks import check_room_for_more
from prodsys.actions.submission.finished_seeds import grant_seeds, to_run_again
from prodsys.errors import AirflowRefused, AnswerRefused, DatasetConflict
from prodsys.ledger.journal import write_audit
from prodsys.ledger.questions import find_abort, find_open_question, list_open_questions, list_unheard_answers
from prodsys.ledger.requests import get_request, refusal
from prodsys.ledger.session import transaction
from prodsys.ledger.tables import QuestionRow, StepRow
from prodsys.ledger.tasks import list_outcomes
from prodsys.model import seeds as seed_ranges
from prodsys.model.approval import code
from prodsys.model.outcome import StepOutcome
from prodsys.model.plan import Plan
from prodsys.model.policy import Answer
from prodsys.model.statuses import DRIVEN, RequestState
from prodsys.model.text import clean_reason, kept_reason
from prodsys.model.times import utc_minutes
from prodsys.model.transitions import Action, Permission, find_move

NOBODY = "nobody"  # who answered when the time was over
FAMILIES_SHOWN = 10
SEEDS_SHOWN = 300  # characters of a list of seeds; the whole list is in the ledger


@dataclass(frozen=True)
class Question:
    """One question as people see it."""

    question_id: int
    request_id: str
    step: str
    bunch: int | None
    body: str
    options: tuple[Answer, ...]
    default: Answer
    due_at: datetime
    answer: Answer | None = None
    answered_by: str = ""
    reason: str = ""

    @property
    def subject(self) -> str:
        """One line that names it."""
        bunch = "" if self.bunch is None else f" bunch {self.bunch}"
        return f"{self.request_id} {self.step}{bunch}: question {self.question_id}"

    @property
    def said(self) -> str:
        """The answer in words."""
        why = f": {self.reason}" if self.reason else ""
        return f"{self.answered_by} said {self.answer}{why}" if self.answer else "not answered"


def ask(
    ctx: Context,
    plan: Plan,
    step: StepRow,
    outcome: StepOutcome,
    families: Sequence[tuple[str, tuple[int, ...]]],
    warnings: Sequence[str] = (),
) -> Question:
    """The open question about a step, asked now when there is none; past its time the default is its answer.

    A request that somebody answered `abort` for, and died before it was done, is aborted: that is the answer here, too.

    Raises
    ------
    InvalidTransition
        Nobody drives the request (any more).
    """
    with transaction(ctx.sessions) as session:
        request = get_request(session, plan.request_id, lock=True)
        if RequestState(request.state) not in DRIVEN:
            raise refusal(request, "asking a person")
        row = find_abort(session, plan.request_id) or find_open_question(session, step.step_id)
        if row is None:
            row = QuestionRow(
                step_id=step.step_id,
                body=_body(plan, step, outcome, families, warnings),
                options=[str(answer) for answer in _options(outcome)],
                default=str(_default(plan, outcome)),
                due_at=datetime.now(UTC) + timedelta(hours=plan.settle.ask_hours),
                reason="",
            )
            session.add(row)
            session.flush()
            write_audit(session, ctx.who, "ask", plan.request_id, question=row.question_id, step=step.kind)
        question = _question(session, row)
    if question.answer is None and question.due_at > datetime.now(UTC):
        return question
    return expire(ctx, question.question_id)


def _options(outcome: StepOutcome) -> tuple[Answer, ...]:
    """Nothing can be accepted of nothing, and nothing recovered that another step lost."""
    accept = (Answer.ACCEPT,) if outcome.delivered else ()
    recover = (Answer.RECOVER,) if outcome.own_missing or outcome.late else ()
    return (*accept, *recover, Answer.ABORT, Answer.FAIL)


def _default(plan: Plan, outcome: StepOutcome) -> Answer:
    """What counts when nobody answers: never to run finished seeds again."""
    default = plan.settle.default
    if default not in _options(outcome) or (default is Answer.RECOVER and outcome.finished_missing):
        return Answer.FAIL
    return default


def _body(
    plan: Plan,
    step: StepRow,
    outcome: StepOutcome,
    families: Sequence[tuple[str, tuple[int, ...]]],
    warnings: Sequence[str],
) -> str:
    """Markdown for the page; text from outside stands in code spans and cannot leave them."""
    lines = [
        f"**{step.kind} of {plan.request_id}**: {len(outcome.delivered)} of {outcome.asked} seeds came "
        f"({outcome.percent:.4g} %, accepted from {plan.accept_percent:g} %), {step.rounds} rounds of recovery.",
        "",
        *(f"- {len(seeds)} x {code(reason)}: seeds {_shown(seeds)}" for reason, seeds in families[:FAMILIES_SHOWN]),
        "",
        *_finished_words(outcome),
        *(f"- {code(words)}" for words in warnings),
        *_said_of_late(outcome),
        "",
        f"*{Answer.ACCEPT}*: go on with what came, the rest is waived; say why. "
        f"*{Answer.RECOVER}*: run the missing seeds once more. *{Answer.ABORT}*: kill it. "
        f"*{Answer.FAIL}*: stop here; retry, recover and accept stay possible.",
    ]
    return "\n".join(lines)


def _finished_words(outcome: StepOutcome) -> tuple[str, ...]:
    """What whoever answers must know: these are never run again without a person."""
    finished = outcome.finished_missing
    if not finished:
        return ()
    words = f"Of {len(finished)} of them a job finished, or nothing proves that none did: seeds {_shown(finished)}."
    return (f"{words} They are not run again by themselves: *{Answer.RECOVER}* makes them a second time.", "")


def _said_of_late(outcome: StepOutcome) -> list[str]:
    words = f"*{Answer.RECOVER}* registers their files in a further dataset, nothing is simulated for them"
    return [f"- seeds {_shown(outcome.late)} came late: {words}"] if outcome.late else []


def _shown(seeds: Sequence[int]) -> str:
    text = seed_ranges.show(seed_ranges.from_seeds(seeds))
    return text if len(text) <= SEEDS_SHOWN else text[:SEEDS_SHOWN].rsplit(",", 1)[0] + ", ..."


def open_questions(ctx: Context, request_id: str | None = None) -> tuple[Question, ...]:
    """Questions that wait for an answer, the oldest first."""
    with transaction(ctx.sessions) as session:
        return tuple(_question(session, row) for row in list_open_questions(session, request_id))


def find_question(ctx: Context, question_id: int) -> Question | None:
    """A question as it stands now, or None when there is none of this number."""
    with transaction(ctx.sessions) as session:
        row = session.get(QuestionRow, question_id)
        return None if row is None else _question(session, row)


def answer(ctx: Context, question_id: int, given: Answer, reason: str = "", *, wake: bool = True) -> Question:
    """The question, answered; the same answer again changes nothing. The run that waits for it is woken.

    Raises
    ------
    AnswerRefused
        It has another answer, is not open to this one, or the reason is missing.
    SpecInvalid
        The reason holds a control character, or is too long.
    """
    ctx.check_permission("answer a question about a step", Permission.ACCEPT)
    if given is Answer.ABORT:
        ctx.check_permission("abort", Permission.ABORT)
    reason = clean_reason(reason)
    if given is Answer.ACCEPT and not reason:
        raise AnswerRefused(question_id, "accepting needs a reason: it stands in the certificate")
    if given is Answer.RECOVER:
        _check_room(ctx, question_id)
    question = _write(ctx, question_id, given, reason)
    if given is Answer.ABORT:
        abort(ctx, question.request_id, reason or f"answer to question {question_id}")
    if wake and given is Answer.ABORT:  # that closed the questions about other bunches, too
        wake_answered(ctx, question.request_id)
    elif wake:
        _wake(ctx, question)
    return question


def _check_room(ctx: Context, question_id: int) -> None:
    """Nothing is run again that could not join its containers: said before anything is written down."""
    question = find_question(ctx, question_id)
    if question is not None and question.answer is None:
        try:
            check_room_for_more(ctx, question.request_id)
        except DatasetConflict as conflict:
            raise AnswerRefused(question_id, str(conflict)) from conflict


def last_answer(ctx: Context, request_id: str, given: Answer) -> Question | None:
    """The newest question to which this was said and of which the run, still driving, has not heard yet; or None."""
    with transaction(ctx.sessions) as session:
        driven = RequestState(get_request(session, request_id).state) in DRIVEN
        found = [_question(session, row) for row in list_unheard_answers(session, request_id) if driven]
    return next((one for one in found if one.answer is given), None)


def wake_answered(ctx: Context, request_id: str | None = None) -> list[tuple[str, str]]:
    """Tell runs again what was answered, where they may not have heard it; what was told, as request id and words.

    An answer is in the ledger before Airflow hears of it: Airflow was away, or who answered died in between. Only a run
    that is still parked on the question takes it. An answer `abort` that was not carried out is carried out first. A
    question past its time is left out: Airflow wakes its run by itself.

    Raises
    ------
    AirflowUnavailable, PandaUnavailable
        A service is away; said again, it goes on.
    """
    with transaction(ctx.sessions) as session:
        unheard = [_question(session, row) for row in list_unheard_answers(session, request_id)]
    told: list[tuple[str, str]] = []
    for question in unheard:
        if finish_abort(ctx, question):
            told.append((question.request_id, f"aborted: {question.said}"))
        if question.due_at > datetime.now(UTC) and _wake(ctx, question):
            told.append((question.request_id, f"run woken, {question.subject}: {question.said}"))
    return told


def finish_abort(ctx: Context, question: Question) -> bool:
    """Whether the request was aborted now because of this answer: who gave it died before that was done."""
    if question.answer is not Answer.ABORT:
        return False
    with transaction(ctx.sessions) as session:
        state = RequestState(get_request(session, question.request_id).state)
    if find_move(state, Action.ABORT) is None:
        return False
    abort(ctx.acting_as(question.answered_by, "service"), question.request_id, kept_reason(question.said))
    return True


def expire(ctx: Context, question_id: int) -> Question:
    """The question with its default as its answer, unless somebody answered, be it in the last moment."""
    with transaction(ctx.sessions) as session:
        row = _locked(session, question_id)
        if row.answer is None:
            words = f"no answer until {utc_minutes(row.due_at)}"
            _take(session, ctx.acting_as(NOBODY, "service"), row, Answer(row.default), words)
        question = _question(session, row)
    finish_abort(ctx, question)
    return question


def _write(ctx: Context, question_id: int, given: Answer, reason: str) -> Question:
    with transaction(ctx.sessions) as session:
        row = _locked(session, question_id)
        if row.answer is None:
            _take(session, ctx, row, given, reason)
        elif row.answer != given:
            when = f" at {utc_minutes(row.answered_at)}" if row.answered_at else ""
            raise AnswerRefused(question_id, f"{row.answered_by} answered {row.answer!r}{when}")
        return _question(session, row)


def _locked(session: Session, question_id: int) -> QuestionRow:
    """A question as it is now; its request is locked first, as by all that changes one, and must be as it was seen."""
    row = session.get(QuestionRow, question_id)
    if row is None:
        raise AnswerRefused(question_id, "there is no such question: see prodsys request questions")
    get_request(session, session.get_one(StepRow, row.step_id).request_id, lock=True)
    session.refresh(row, with_for_update=True)
    return row


def _take(session: Session, ctx: Context, row: QuestionRow, given: Answer, reason: str) -> None:
    if str(given) not in row.options:
        raise AnswerRefused(row.question_id, f"'{given}' is not possible here; possible: {', '.join(row.options)}")
    step = session.get(StepRow, row.step_id, with_for_update=True)
    assert step is not None  # the question refers to it
    row.answer, row.answered_by, row.answered_at, row.reason = str(given), ctx.who, datetime.now(UTC), reason
    if given is Answer.ACCEPT:
        step.waived = f"{ctx.who}: {reason}"
    elif given is Answer.RECOVER:
        step.granted, step.waived = step.granted + 1, ""
        grant_seeds(ctx, step, to_run_again(list_outcomes(session, step.step_id), step))
    words = {"question": row.question_id, "answer": str(given), "reason": reason, "step": step.kind}
    write_audit(session, ctx.who, "answer", step.request_id, **words)
    session.flush()


def _wake(ctx: Context, question: Question) -> bool:
    """Whether the run took the answer; one that is not parked in Airflow looks into the ledger by itself."""
    with transaction(ctx.sessions) as session:
        state = RequestState(get_request(session, question.request_id).state)
        run = waiting_run(session, question.request_id)
    if run is None or state not in {*DRIVEN, RequestState.ABORTED}:
        return False
    try:
        return ctx.airflow.answer_hitl(
            run.dag_id, run.dag_run_id, question.subject, str(question.answer), question.reason
        )
    except AirflowRefused as refused:
        if refused.status != HTTPStatus.NOT_FOUND:
            raise
        return False  # Airflow does not know the run any more


def _question(session: Session, row: QuestionRow) -> Question:
    step = session.get(StepRow, row.step_id)
    assert step is not None  # the question refers to it
    return Question(
        question_id=row.question_id,
        request_id=step.request_id,
        step=step.kind,
        bunch=step.bunch,
        body=row.body,
        options=tuple(Answer(one) for one in row.options),
        default=Answer(row.default),
        due_at=row.due_at,
        answer=Answer(row.answer) if row.answer else None,
        answered_by=row.answered_by or "",
        reason=row.reason,
    )
