"""Tables of the ledger, schema ``prodsys``. Rules that must hold for ever are constraints of the database."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    DateTime,
    Float,
    ForeignKey,
    Identity,
    Index,
    Integer,
    MetaData,
    Text,
    UniqueConstraint,
    func,
)
from sqlalchemy.dialects.postgresql import INT8MULTIRANGE, INT8RANGE, JSONB, ExcludeConstraint, Range
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

SCHEMA = "prodsys"
CONVENTION = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}


class Base(DeclarativeBase):
    """Base of all rows."""

    metadata = MetaData(schema=SCHEMA, naming_convention=CONVENTION)
    type_annotation_map = {  # noqa: RUF012
        str: Text,
        int: BigInteger,
        float: Float,
        datetime: DateTime(timezone=True),
        dict[str, Any]: JSONB,
        list[Any]: JSONB,
        Range[int]: INT8RANGE,
    }


def _now() -> Mapped[datetime]:
    return mapped_column(server_default=func.now())


class RequestRow(Base):
    """A request: its state is the truth."""

    __tablename__ = "request"

    request_id: Mapped[str] = mapped_column(primary_key=True)
    state: Mapped[str]
    recorded_status: Mapped[str]
    campaign: Mapped[str]
    priority: Mapped[int] = mapped_column(default=900)
    revision: Mapped[int] = mapped_column(Integer, default=1)
    requester: Mapped[str]
    cloned_from: Mapped[str | None]
    extends: Mapped[str | None]  # the same configuration, next seeds
    trial_of: Mapped[str | None]  # few seeds of it, before the mass production
    template: Mapped[str | None]  # of a recurring request, with the interval it stands for
    interval_start: Mapped[datetime | None]
    runs: Mapped[int] = mapped_column(Integer, default=1, server_default="1")  # times it was started, this one included
    reason: Mapped[str] = mapped_column(default="")  # why it is in this state, for people
    created_at: Mapped[datetime] = _now()
    changed_at: Mapped[datetime] = mapped_column(server_default=func.now(), onupdate=func.now())
    not_before: Mapped[datetime | None]  # a delayed launch waits for this time
    launched_at: Mapped[datetime | None]
    closed_at: Mapped[datetime | None]

    __table_args__ = (Index(None, "state", "priority"), UniqueConstraint("template", "interval_start"))


class RevisionRow(Base):
    """One revision of what is asked for; never changed."""

    __tablename__ = "request_revision"

    request_id: Mapped[str] = mapped_column(ForeignKey(RequestRow.request_id), primary_key=True)
    revision: Mapped[int] = mapped_column(Integer, primary_key=True)
    digest: Mapped[str]
    configuration: Mapped[str] = mapped_column(index=True)
    spec: Mapped[dict[str, Any]]
    source: Mapped[dict[str, Any]]  # file, row, notes
    created_by: Mapped[str]
    created_at: Mapped[datetime] = _now()


class PlanRow(Base):
    """A plan of a revision; approval binds to its digest."""

    __tablename__ = "plan"

    request_id: Mapped[str] = mapped_column(ForeignKey(RequestRow.request_id), primary_key=True)
    digest: Mapped[str] = mapped_column(primary_key=True)
    revision: Mapped[int] = mapped_column(Integer)
    body: Mapped[dict[str, Any]]
    planned_by: Mapped[str]
    planned_at: Mapped[datetime] = _now()
    approved_by: Mapped[str | None]
    approved_at: Mapped[datetime | None]
    seconded_by: Mapped[str | None]  # above the size that policy.yaml names
    seconded_at: Mapped[datetime | None]
    estimate: Mapped[dict[str, Any]] = mapped_column(default=dict, server_default="{}")  # no part of the digest
    warnings: Mapped[list[Any]] = mapped_column(default=list, server_default="[]")  # as they were shown with it


class PublicationRow(Base):
    """Append-only: the last number is the version of the DAG bundle (DESIGN decision 3)."""

    __tablename__ = "publication"

    number: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    request_id: Mapped[str] = mapped_column(ForeignKey(RequestRow.request_id), index=True)
    revision: Mapped[int] = mapped_column(Integer)
    digest: Mapped[str]  # of the plan
    retired: Mapped[bool] = mapped_column(Boolean, default=False)
    published_by: Mapped[str]
    published_at: Mapped[datetime] = _now()


class RecurringRow(Base):
    """A recurring template as the ledger holds it to its word: numbers and seeds of all its intervals are its own."""

    __tablename__ = "recurring"

    name: Mapped[str] = mapped_column(primary_key=True)
    body: Mapped[dict[str, Any]]
    configuration: Mapped[str]
    id_prefix: Mapped[str]
    numbers: Mapped[Range[int]]  # of the ids of its requests
    registered_by: Mapped[str]
    registered_at: Mapped[datetime] = _now()
    changed_at: Mapped[datetime] = mapped_column(server_default=func.now(), onupdate=func.now())

    __table_args__ = (
        ExcludeConstraint(("id_prefix", "="), ("numbers", "&&"), using="gist", name="recurring_numbers_once"),
    )


class SeedClaimRow(Base):
    """First owner of seeds of a configuration: a request, or a template whose request is to come.

    The exclusion constraint has no exception.
    """

    __tablename__ = "seed_claim"

    claim_id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    configuration: Mapped[str]
    seeds: Mapped[Range[int]]
    request_id: Mapped[str | None] = mapped_column(ForeignKey(RequestRow.request_id), index=True)
    template: Mapped[str | None] = mapped_column(ForeignKey(RecurringRow.name), index=True)
    claimed_at: Mapped[datetime] = _now()

    __table_args__ = (
        ExcludeConstraint(("configuration", "="), ("seeds", "&&"), using="gist", name="seed_claim_one_owner"),
        CheckConstraint("not isempty(seeds)", name="some_seeds"),
        CheckConstraint("num_nonnulls(request_id, template) = 1", name="request_or_template"),
    )

    @property
    def owner(self) -> str:
        """Request that owns the seeds, or the template they are kept for, in words."""
        return self.request_id or f"template {self.template}"


class SeedReuseRow(Base):
    """Seeds used again on purpose: they have an owner, a kind and a reason, and stay visible."""

    __tablename__ = "seed_reuse"

    reuse_id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    configuration: Mapped[str]
    seeds: Mapped[Range[int]]
    request_id: Mapped[str] = mapped_column(ForeignKey(RequestRow.request_id), index=True)
    owner: Mapped[str] = mapped_column(ForeignKey(RequestRow.request_id), index=True)
    kind: Mapped[str]
    reason: Mapped[str]
    declared_by: Mapped[str]
    declared_at: Mapped[datetime] = _now()

    __table_args__ = (UniqueConstraint("request_id", "owner", "seeds"),)


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
    job_count: Mapped[int | None] = mapped_column(Integer)
    final: Mapped[bool] = mapped_column(Boolean, default=False)  # read twice as final
    created_at: Mapped[datetime] = _now()

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


class QuestionRow(Base):
    """A question to a person about a step, and the one answer it got."""

    __tablename__ = "question"

    question_id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    step_id: Mapped[int] = mapped_column(ForeignKey(StepRow.step_id), index=True)
    body: Mapped[str]  # Markdown, for people
    options: Mapped[list[Any]]
    default: Mapped[str]
    asked_at: Mapped[datetime] = _now()
    due_at: Mapped[datetime]
    answer: Mapped[str | None]
    answered_by: Mapped[str | None]
    answered_at: Mapped[datetime | None]
    reason: Mapped[str] = mapped_column(default="", server_default="")

    __table_args__ = (Index("uq_question_one_open", "step_id", unique=True, postgresql_where="answer is null"),)


class FileRow(Base):
    """A file bound to its seed by its job."""

    __tablename__ = "file"

    lfn: Mapped[str] = mapped_column(primary_key=True)
    step_id: Mapped[int] = mapped_column(ForeignKey(StepRow.step_id, ondelete="CASCADE"))
    seed: Mapped[int]
    data_type: Mapped[str]
    dataset: Mapped[str]  # name, as PanDA filled it
    panda_job_id: Mapped[int]
    bytes: Mapped[int]
    adler32: Mapped[str]
    events: Mapped[int]
    events_source: Mapped[str]

    __table_args__ = (Index(None, "step_id", "seed"), Index(None, "dataset"))


class InputFileRow(Base):
    """A file of an earlier request that this one reads, as it was found when the request was planned."""

    __tablename__ = "input_file"

    request_id: Mapped[str] = mapped_column(ForeignKey(RequestRow.request_id), primary_key=True)
    lfn: Mapped[str] = mapped_column(primary_key=True)
    did: Mapped[str]  # dataset it is read from, under its real name
    data_type: Mapped[str]
    seed: Mapped[int]
    bytes: Mapped[int]
    adler32: Mapped[str]
    parent_tid: Mapped[int | None]  # task that wrote it, when the ledger knows

    __table_args__ = (Index(None, "lfn"),)


class LostFileRow(Base):
    """A file that its job reported and that is not to be had: its seed is missing, whatever PanDA says."""

    __tablename__ = "lost_file"

    lfn: Mapped[str] = mapped_column(primary_key=True)
    step_id: Mapped[int] = mapped_column(ForeignKey(StepRow.step_id, ondelete="CASCADE"), index=True)
    seed: Mapped[int]
    reason: Mapped[str]
    found_at: Mapped[datetime] = _now()


class DatasetRow(Base):
    """A dataset or container of a request, as read back from Rucio."""

    __tablename__ = "dataset"

    did: Mapped[str] = mapped_column(primary_key=True)
    request_id: Mapped[str] = mapped_column(ForeignKey(RequestRow.request_id), index=True)
    step: Mapped[str | None]
    bunch: Mapped[int | None] = mapped_column(Integer)
    data_type: Mapped[str | None]
    kind: Mapped[str]  # dataset | input | step container | request container
    files: Mapped[int] = mapped_column(default=0)
    bytes: Mapped[int] = mapped_column(default=0)
    events: Mapped[int] = mapped_column(default=0)
    closed: Mapped[bool] = mapped_column(Boolean, default=False)
    strays: Mapped[int] = mapped_column(
        Integer, default=0, server_default="0"
    )  # files that do not count and stay in it
    read_back_at: Mapped[datetime] = _now()


class RuleRow(Base):
    """A replication rule of one dataset."""

    __tablename__ = "rule"

    rule_id: Mapped[str] = mapped_column(primary_key=True)
    did: Mapped[str] = mapped_column(ForeignKey(DatasetRow.did), index=True)
    request_id: Mapped[str] = mapped_column(ForeignKey(RequestRow.request_id), index=True)
    rse_expression: Mapped[str]
    copies: Mapped[int] = mapped_column(Integer)
    lifetime_days: Mapped[int | None] = mapped_column(Integer)
    length: Mapped[int]  # files of the dataset it must cover
    state: Mapped[str]
    locks_ok: Mapped[int] = mapped_column(default=0)
    error: Mapped[str] = mapped_column(default="")
    checked_at: Mapped[datetime] = _now()


class RunRow(Base):
    """A DAG run that drives, drove or was turned away from a request."""

    __tablename__ = "run"

    dag_id: Mapped[str] = mapped_column(primary_key=True)
    dag_run_id: Mapped[str] = mapped_column(primary_key=True)
    request_id: Mapped[str] = mapped_column(ForeignKey(RequestRow.request_id), index=True)
    revision: Mapped[int] = mapped_column(Integer)
    driving: Mapped[bool] = mapped_column(Boolean)
    airflow_state: Mapped[str] = mapped_column(default="")
    note: Mapped[str] = mapped_column(default="")
    entered_at: Mapped[datetime] = _now()

    __table_args__ = (Index("uq_run_one_driver", "request_id", unique=True, postgresql_where="driving"),)


class CertificateRow(Base):
    """A certificate; a later revision supersedes, nothing is edited."""

    __tablename__ = "certificate"

    request_id: Mapped[str] = mapped_column(ForeignKey(RequestRow.request_id), primary_key=True)
    certificate_revision: Mapped[int] = mapped_column(Integer, primary_key=True)
    digest: Mapped[str]
    body: Mapped[dict[str, Any]]
    path: Mapped[str]
    issued_at: Mapped[datetime] = _now()


class HistoryTaskRow(Base):
    """A PanDA task of before this ledger, as an imported list tells of it; figures in doubt are null and flagged."""

    __tablename__ = "history_task"

    jedi_task_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    task_name: Mapped[str] = mapped_column(primary_key=True)
    request_id: Mapped[str | None] = mapped_column(index=True)  # may be one that the ledger does not know
    kind: Mapped[str | None]
    status: Mapped[str]
    jobs: Mapped[int | None]
    events: Mapped[int | None]
    events_left_out: Mapped[bool] = mapped_column(Boolean)  # the list does not give them: those of its request
    bytes: Mapped[int | None]
    wall_s: Mapped[float | None]  # of one job
    span_h: Mapped[float | None]  # in whole days
    written: Mapped[dict[str, Any]]  # heading -> cell
    flags: Mapped[list[Any]]  # what is doubtful: column, value, why
    file: Mapped[str]
    line: Mapped[int] = mapped_column(Integer)
    imported_by: Mapped[str]
    imported_at: Mapped[datetime] = _now()


class AuditRow(Base):
    """Who did what to which request."""

    __tablename__ = "audit"

    audit_id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    at: Mapped[datetime] = _now()
    who: Mapped[str]
    action: Mapped[str]
    request_id: Mapped[str | None] = mapped_column(index=True)
    detail: Mapped[dict[str, Any]]


class IdempotencyRow(Base):
    """What a caller of the REST API sent under a key of his, and what it was answered; for a day."""

    __tablename__ = "idempotency"

    who: Mapped[str] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    method: Mapped[str]
    path: Mapped[str]
    body_digest: Mapped[str]
    holder: Mapped[str]  # the call that works on it, or did
    held_until: Mapped[datetime]  # whoever held it longer than this has died
    claimed_at: Mapped[datetime] = mapped_column(server_default=func.now(), index=True)
    status: Mapped[int | None] = mapped_column(Integer)  # of HTTP; None: not answered yet
    headers: Mapped[dict[str, Any]] = mapped_column(default=dict, server_default="{}")
    body: Mapped[str] = mapped_column(default="", server_default="")


class CallRow(Base):
    """Journal of calls to other services: who, what, how long, answer; never a secret."""

    __tablename__ = "call_journal"

    call_id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    at: Mapped[datetime] = _now()
    who: Mapped[str]
    service: Mapped[str]
    call: Mapped[str]
    target: Mapped[str]
    duration_s: Mapped[float]
    outcome: Mapped[str]
    detail: Mapped[str]

    __table_args__ = (Index(None, "service", "at"),)
