"""Queries over questions to persons."""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from prodsys.ledger.tables import QuestionRow, StepRow
from prodsys.model.policy import Answer

SERVICE = "prodsys"  # who answers what nobody has to answer any more


def list_open_questions(session: Session, request_id: str | None = None) -> list[QuestionRow]:
    """Questions that wait for an answer, the oldest first; of one request when it is named."""
    wanted = select(QuestionRow).join(StepRow, StepRow.step_id == QuestionRow.step_id)
    wanted = wanted.where(QuestionRow.answer.is_(None)).order_by(QuestionRow.asked_at, QuestionRow.question_id)
    if request_id is not None:
        wanted = wanted.where(StepRow.request_id == request_id)
    return list(session.scalars(wanted))


def find_open_question(session: Session, step_id: int) -> QuestionRow | None:
    """The question about a step that waits for an answer; the database allows one."""
    wanted = select(QuestionRow).where(QuestionRow.step_id == step_id, QuestionRow.answer.is_(None))
    return session.scalars(wanted).first()


def drop_questions(session: Session, request_id: str, note: str) -> None:
    """Close the open questions of a request whose run has ended, in the caller's transaction."""
    for row in list_open_questions(session, request_id):
        row.answer, row.answered_by, row.answered_at = str(Answer.FAIL), SERVICE, datetime.now(UTC)
        row.reason = f"the run ended: {note}"[:500]
