"""What is done: steps, tasks, the outcome of every seed, questions to persons."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Boolean, ForeignKey, Identity, Index, Integer, UniqueConstraint
from sqlalchemy.dialects.postgresql import INT8MULTIRANGE, ExcludeConstraint, MultiRange
from sqlalchemy.orm import Mapped, mapped_column

from prodsys.ledger.rows.base import Base, now
from prodsys.ledger.rows.requests import RequestRow


class StepRow(Base):
    """One step of a published request, of one bunch when it has bunches, with the verdict about it."""

    __tablename__ = "step"

    step_id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    request_id: Mapped[str] = mapped_column(ForeignKey(RequestRow.request_id))
    revision: Mapped[int] = mapped_column(Integer)
    kind: Mapped[str]
    ordinal: Mapped[int] = mapped_column(Integer)
    bunch: Mapped[int | None] = mapped_column(Integer)
    rounds: Mapped[int] = mapped_column(Integer, default=0, server_default="0")  # of recovery, done
    granted: Mapped[int] = mapped_column(Integer, default=0, server_default="0")  # rounds persons asked for
    granted_seeds: Mapped[Any] = mapped_column(  # seeds that a person wants to be run again, finished jobs or not
        INT8MULTIRANGE, default=MultiRange, server_default="{}"
    )
    core_s: Mapped[float | None]  # of all its jobs, for the estimates of later plans
    waived: Mapped[str] = mapped_column(default="", server_default="")  # who took what is missing, and why
    verdict: Mapped[str | None]
    asked: Mapped[int] = mapped_column(default=0, server_default="0")  # seeds that count: all but those waived before
    seeds_delivered: Mapped[int | None]
    events: Mapped[int | None]
    counted_files: Mapped[int] = mapped_column(default=0)
    notes: Mapped[list[Any]] = mapped_column(default=list)
    settled_at: Mapped[datetime | None]
    data_ready_at: Mapped[datetime | None]

    __table_args__ = (UniqueConstraint("request_id", "revision", "kind", "bunch", postgresql_nulls_not_distinct=True),)


class TaskRow(Base):
    """One intent to have PanDA run a step, and what became of it (DESIGN decision 5)."""

    __tablename__ = "task"

    task_row_id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    step_id: Mapped[int] = mapped_column(ForeignKey(StepRow.step_id), index=True)
    attempt: Mapped[int] = mapped_column(Integer)
    bunch: Mapped[int | None] = mapped_column(Integer)
    task_name: Mapped[str] = mapped_column(unique=True)
    seeds: Mapped[Any] = mapped_column(INT8MULTIRANGE)
    task_map: Mapped[dict[str, Any]]
    parent_tid: Mapped[int | None]
    inputs: Mapped[dict[str, Any]] = mapped_column(default=dict, server_default="{}")  # data type -> dataset it reads
    outputs: Mapped[dict[str, Any]] = mapped_column(default=dict, server_default="{}")  # data type -> datasets it fills
    retries: Mapped[int] = mapped_column(Integer, default=0, server_default="0")  # PanDA's own, that we asked for
    retried_at: Mapped[datetime | None]  # asked for and not yet seen to begin
    adopted: Mapped[bool] = mapped_column(Boolean, default=False, server_default="false")  # made elsewhere
    intent: Mapped[str]
    owner: Mapped[str | None]
    until: Mapped[datetime | None]
    first_sent_at: Mapped[datetime | None]
    sent_count: Mapped[int] = mapped_column(Integer, default=0)
    jedi_task_id: Mapped[int | None] = mapped_column(unique=True)
    twins: Mapped[list[Any]] = mapped_column(default=list)
    status: Mapped[str | None]
    status_reason: Mapped[str] = mapped_column(default="")
    status_at: Mapped[datetime | None]
    killed_at: Mapped[datetime | None]  # PanDA took a kill of ours: never paused after it
    job_count: Mapped[int | None] = mapped_column(Integer)
    final: Mapped[bool] = mapped_column(Boolean, default=False)  # read twice as final
    looked_at: Mapped[datetime | None]  # when the reconciler asked PanDA for this task by itself
    created_at: Mapped[datetime] = now()

    __table_args__ = (
        ExcludeConstraint(
            ("step_id", "="), ("seeds", "&&"), using="gist", where="not final", name="task_one_open_attempt"
        ),
        Index(None, "intent", "final"),
    )


class SeedOutcomeRow(Base):
    """What one seed brought in one step; written by settle, seed by seed."""

    __tablename__ = "seed_outcome"

    step_id: Mapped[int] = mapped_column(ForeignKey(StepRow.step_id, ondelete="CASCADE"), primary_key=True)
    seed: Mapped[int] = mapped_column(primary_key=True)
    task_row_id: Mapped[int | None] = mapped_column(ForeignKey(TaskRow.task_row_id), index=True)  # None: none ran it
    state: Mapped[str]
    reason: Mapped[str] = mapped_column(default="")
    lost_in: Mapped[str] = mapped_column(default="", server_default="")  # step that lost it; "" when delivered
    waived: Mapped[str] = mapped_column(default="", server_default="")  # why it is not waited for any more
    panda_job_id: Mapped[int | None]
    site: Mapped[str] = mapped_column(default="")
    events: Mapped[int] = mapped_column(default=0)
    events_source: Mapped[str]
    finished: Mapped[bool] = mapped_column(  # a job of it finished once, or JEDI counts its input so: for good
        Boolean, default=False, server_default="false"
    )


class QuestionRow(Base):
    """A question to a person about a step, and the one answer it got."""

    __tablename__ = "question"

    question_id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    step_id: Mapped[int] = mapped_column(ForeignKey(StepRow.step_id), index=True)
    body: Mapped[str]  # Markdown, for people
    options: Mapped[list[Any]]
    default: Mapped[str]
    asked_at: Mapped[datetime] = now()
    due_at: Mapped[datetime]
    answer: Mapped[str | None]
    answered_by: Mapped[str | None]
    answered_at: Mapped[datetime | None]
    reason: Mapped[str] = mapped_column(default="", server_default="")

    __table_args__ = (Index("uq_question_one_open", "step_id", unique=True, postgresql_where="answer is null"),)
