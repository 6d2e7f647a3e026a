"""What is asked for: requests, revisions, plans, publications, recurring templates, claims of seeds."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    ForeignKey,
    Identity,
    Index,
    Integer,
    Sequence,
    UniqueConstraint,
    func,
)
from sqlalchemy.dialects.postgresql import ExcludeConstraint, Range
from sqlalchemy.orm import Mapped, mapped_column

from prodsys.ledger.rows.base import SCHEMA, Base, now


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
    created_at: Mapped[datetime] = now()
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
    created_at: Mapped[datetime] = now()


class RequestFileRow(Base):
    """What a file said about a request when it was imported last, and the revision that answered it."""

    __tablename__ = "request_file"

    request_id: Mapped[str] = mapped_column(ForeignKey(RequestRow.request_id, ondelete="CASCADE"), primary_key=True)
    file: Mapped[str] = mapped_column(primary_key=True)  # its whole path
    digest: Mapped[str]  # of what it asks for
    revision: Mapped[int] = mapped_column(Integer)
    imported_by: Mapped[str]
    imported_at: Mapped[datetime] = now()


class ImportReportRow(Base):
    """The faults that the last look at a folder of request files found."""

    __tablename__ = "import_report"

    folder: Mapped[str] = mapped_column(primary_key=True)
    faults: Mapped[list[Any]]
    changed_at: Mapped[datetime] = now()


PLAN_NUMBERS = Sequence("plan_number", schema=SCHEMA, metadata=Base.metadata)


class PlanRow(Base):
    """A plan of a revision; approval binds to its digest."""

    __tablename__ = "plan"

    request_id: Mapped[str] = mapped_column(ForeignKey(RequestRow.request_id), primary_key=True)
    digest: Mapped[str] = mapped_column(primary_key=True)
    revision: Mapped[int] = mapped_column(Integer)
    number: Mapped[int] = mapped_column(
        BigInteger, server_default=PLAN_NUMBERS.next_value()
    )  # the newest has the highest
    body: Mapped[dict[str, Any]]
    planned_by: Mapped[str]
    planned_at: Mapped[datetime] = now()
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
    published_at: Mapped[datetime] = now()


class RecurringRow(Base):
    """A recurring template as the ledger holds it to its word: numbers and seeds of all its intervals are its own."""

    __tablename__ = "recurring"

    name: Mapped[str] = mapped_column(primary_key=True)
    body: Mapped[dict[str, Any]]
    configuration: Mapped[str]
    id_prefix: Mapped[str]
    numbers: Mapped[Range[int]]  # of the ids of its requests
    registered_by: Mapped[str]
    registered_at: Mapped[datetime] = now()
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
    claimed_at: Mapped[datetime] = now()

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
    declared_at: Mapped[datetime] = now()

    __table_args__ = (
        UniqueConstraint("request_id", "owner", "seeds"),
        Index("ix_seed_reuse_seeds", "configuration", "seeds", postgresql_using="gist"),
    )
