"""Acts while a request runs, and after it."""

from __future__ import annotations

from typing import Any

from prodsys.actions.closing import reopening
from prodsys.actions.closing.cleaning import Cleaned, abort_and_clean
from prodsys.actions.core.context import Context
from prodsys.actions.queries.listing import show_question
from prodsys.actions.reconciliation import findings
from prodsys.actions.runs import aborting, controlling, pausing
from prodsys.actions.settlement import step_questions
from prodsys.actions.submission import adopting
from prodsys.actions.submission.adopting import AdoptAnswer
from prodsys.model.transitions import Permission
from prodsys.web.api import bodies
from prodsys.web.api.command import Entry, as_it_is


def _abort(ctx: Context, request_id: str, body: bodies.End) -> Cleaned:
    if body.clean:
        return abort_and_clean(ctx, request_id, body.reason)
    return Cleaned(aborting.abort(ctx, request_id, body.reason), ())


def _show_end(answer: Cleaned) -> dict[str, Any]:
    return as_it_is(answer.told) | {"expiring": list(answer.expiring)}


def _answer(ctx: Context, question_id: str, body: bodies.Answered) -> step_questions.Question:
    show_question(ctx, int(question_id))  # 404 when nobody asked it
    return step_questions.answer(ctx, int(question_id), body.answer, body.reason)


def _show_adopted(answer: AdoptAnswer) -> dict[str, Any]:
    return as_it_is(answer) | {"differences": [str(one) for one in answer.differences]}


RUNNING: tuple[Entry, ...] = (
    Entry(
        "priority",
        "Give a request and its unfinished PanDA tasks another priority",
        "From 1 to 1000; productions have 900.",
        Permission.CONTROL,
        lambda ctx, request_id, body: controlling.set_priority(ctx, request_id, body.priority),
        bodies.ToldTasks,
        bodies.Priority,
        match=True,
    ),
    Entry(
        "pause",
        "Let a running request rest: PanDA tasks and Airflow run",
        "Said again, what does not rest yet is told again.",
        Permission.CONTROL,
        lambda ctx, request_id, body: pausing.pause(ctx, request_id, body.reason),
        bodies.ToldTasks,
        bodies.Reason,
    ),
    Entry(
        "resume",
        "Let a paused request go on",
        "Said again, what still rests is told again.",
        Permission.CONTROL,
        lambda ctx, request_id, _: pausing.resume(ctx, request_id),
        bodies.ToldTasks,
    ),
    Entry(
        "finish",
        "End the running PanDA tasks with what they have",
        "Settle then judges what came.",
        Permission.CONTROL,
        lambda ctx, request_id, body: controlling.finish(ctx, request_id, body.reason),
        bodies.ToldTasks,
        bodies.Reason,
    ),
    Entry(
        "abort",
        "Stop a request for good: its PanDA tasks are killed",
        "The ledger says `aborted` first, so that nothing new is submitted; said again, what still lives is killed.",
        Permission.ABORT,
        _abort,
        bodies.Ended,
        bodies.End,
        show=_show_end,
    ),
    Entry(
        "answer",
        "Answer a question about a step that brought too little",
        "Once, from whatever side it comes: the same answer again changes nothing, another is refused. The run that "
        "waits for it is woken. Accepting needs a reason.",
        Permission.ACCEPT,
        _answer,
        bodies.AnswerTaken,
        bodies.Answered,
        about=lambda _, question: question.request_id,
        path="/questions/{question_id}/answer",
        tag="questions",
    ),
    Entry(
        "decide",
        "Decide a finding: it is not told any more",
        "As long as the same is seen. The same word again changes nothing; what somebody else decided is refused.",
        Permission.REPAIR,
        lambda ctx, finding_id, body: findings.decide(ctx, int(finding_id), body.reason),
        bodies.FindingTaken,
        bodies.ReasonNeeded,
        about=lambda _, finding: finding.request_id,
        path="/findings/{finding_id}/decide",
        tag="findings",
    ),
    Entry(
        "retry",
        "Start another run of a failed request",
        "It goes on where the ledger stands; nothing is done twice. A step whose PanDA task ended without output is "
        "run again.",
        Permission.REPAIR,
        lambda ctx, request_id, _: reopening.retry(ctx, request_id, wait=False),
        bodies.StartedAgain,
        bodies.Retry,
    ),
    Entry(
        "recover",
        "Run again what is missing, and nothing else",
        "Of a request that waits for one answer this is the answer; of several, each is given by its number. Refused "
        "while an attempt on these seeds is open.",
        Permission.REPAIR,
        lambda ctx, request_id, body: reopening.recover(ctx, request_id, body.reason, wait=False),
        bodies.StartedAgain,
        bodies.Restart,
    ),
    Entry(
        "accept",
        "Take what came, and waive the rest",
        "With a reason, which stands in the certificate. Of a request that waits for one answer this is the answer; of "
        "several, each is given by its number.",
        Permission.ACCEPT,
        lambda ctx, request_id, body: reopening.accept(ctx, request_id, body.reason, wait=False),
        bodies.StartedAgain,
        bodies.RestartWithReason,
        match=True,
    ),
    Entry(
        "settle-again",
        "Look again at a closed request whose tasks changed",
        "Its certificate gets a new revision; none is ever edited.",
        Permission.REPAIR,
        lambda ctx, request_id, body: reopening.settle_again(ctx, request_id, body.reason, wait=False),
        bodies.StartedAgain,
        bodies.RestartWithReason,
    ),
    Entry(
        "adopt",
        "Link a PanDA task made by hand to a step of a request",
        "Its map, seeds and user are compared first; the rest of the chain then runs by itself.",
        Permission.ADOPT,
        lambda ctx, request_id, body: adopting.adopt(ctx, request_id, body.step, body.jedi_task_id),
        bodies.Adopted,
        bodies.Adoption,
        show=_show_adopted,
    ),
    Entry(
        "archive",
        "Put a request that has ended away",
        "Its DAG leaves Airflow; certificate and seeds stay.",
        Permission.ARCHIVE,
        lambda ctx, request_id, _: controlling.archive(ctx, request_id),
        bodies.ToldTasks,
        match=True,
    ),
)
