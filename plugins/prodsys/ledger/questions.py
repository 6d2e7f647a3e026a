"""Queries over questions to persons."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from prodsys.ledger.tables import QuestionRow, RequestRow, StepRow
from prodsys.model.policy import Answer
from prodsys.model.statuses import DRIVEN, RequestState

ABORT_TOLD = timedelta(days=1)  # so long a run is told of an abort; what still lives then is ended by the reconciler
SERVICE = "prodsys"  # who answers what nobody has to answer any more


def list_open_questions(session: Session, request_id: str | None = None, bunch: int | None = None) -> list[QuestionRow]:
    """Questions that wait for an answer, the oldest first; of one request, of one bunch of it, when it is named."""
    wanted = select(QuestionRow).join(StepRow, StepRow.step_id == QuestionRow.step_id)
    wanted = wanted.where(QuestionRow.answer.is_(None)).order_by(QuestionRow.asked_at, QuestionRow.question_id)
    if request_id is not None:
        wanted = wanted.where(StepRow.request_id == request_id)
    if bunch is not None:
        wanted = wanted.where(StepRow.bunch == bunch)
    return list(session.scalars(wanted))


def find_open_question(session: Session, step_id: int) -> QuestionRow | None:
    """The question about a step that waits for an answer; the database allows one."""
    wanted = select(QuestionRow).where(QuestionRow.step_id == step_id, QuestionRow.answer.is_(None))
    return session.scalars(wanted).first()


def find_abort(session: Session, request_id: str) -> QuestionRow | None:
    """The question about a request that was answered with `abort`, or None."""
    wanted = select(QuestionRow).join(StepRow, StepRow.step_id == QuestionRow.step_id)
    wanted = wanted.where(StepRow.request_id == request_id, QuestionRow.answer == str(Answer.ABORT))
    return session.scalars(wanted.limit(1)).first()


def list_unheard_answers(session: Session, request_id: str | None = None) -> list[QuestionRow]:
    """Answers after which nothing happened to the step, the newest first: the run may be parked on the question."""
    heard_at = func.greatest(StepRow.settled_at, StepRow.data_ready_at)  # null only when both are
    wanted = (
        select(QuestionRow)
        .join(StepRow, StepRow.step_id == QuestionRow.step_id)
        .join(RequestRow, RequestRow.request_id == StepRow.request_id)
        .where(
            QuestionRow.answer.is_not(None),
            heard_at.is_(None) | (heard_at < QuestionRow.answered_at),
            RequestRow.state.in_([str(state) for state in DRIVEN])
            | ((RequestRow.state == RequestState.ABORTED) & (RequestRow.changed_at > datetime.now(UTC) - ABORT_TOLD)),
        )
        .order_by(QuestionRow.answered_at.desc())
    )
    if request_id is not None:
        wanted = wanted.where(StepRow.request_id == request_id)
    return list(session.scalars(wanted))


def drop_questions(session: Session, request_id: str, note: str, bunch: int | None = None) -> None:
    """Close what nobody has to answer any more of a request, or of a bunch, in the caller's transaction."""
    for row in list_open_questions(session, request_id, bunch):
        row.answer, row.answered_by, row.answered_at = str(Answer.FAIL), SERVICE, datetime.now(UTC)
        row.reason = note[:500]
