"""What is told about it: runs, imported history, audit, keys of the REST API, the journal of calls."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Boolean, ForeignKey, Identity, Index, Integer, func
from sqlalchemy.orm import Mapped, mapped_column

from prodsys.ledger.rows.base import Base, now
from prodsys.ledger.rows.requests import RequestRow


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
    entered_at: Mapped[datetime] = now()

    __table_args__ = (Index("uq_run_one_driver", "request_id", unique=True, postgresql_where="driving"),)


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
    imported_at: Mapped[datetime] = now()


class AuditRow(Base):
    """Who did what to which request."""

    __tablename__ = "audit"

    audit_id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    at: Mapped[datetime] = now()
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
    at: Mapped[datetime] = now()
    who: Mapped[str]
    service: Mapped[str]
    call: Mapped[str]
    target: Mapped[str]
    duration_s: Mapped[float]
    outcome: Mapped[str]
    detail: Mapped[str]

    __table_args__ = (Index(None, "service", "at"),)
