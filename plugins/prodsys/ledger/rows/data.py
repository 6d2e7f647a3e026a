"""What came of it: files, datasets, rules, certificates."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Boolean, ForeignKey, Index, Integer
from sqlalchemy.orm import Mapped, mapped_column

from prodsys.ledger.rows.base import Base, now
from prodsys.ledger.rows.execution import StepRow
from prodsys.ledger.rows.requests import RequestRow


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
    guid: Mapped[str] = mapped_column(default="", server_default="")  # 32 hex digits: PanDA's, or made of the name
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
    delivered: Mapped[bool] = mapped_column(Boolean, default=False, server_default="false")  # it was there once
    found_at: Mapped[datetime] = now()


class LateFileRow(Base):
    """A file that PanDA wrote after its dataset was closed, and the further dataset a person had it taken into."""

    __tablename__ = "late_file"

    lfn: Mapped[str] = mapped_column(primary_key=True)
    step_id: Mapped[int] = mapped_column(ForeignKey(StepRow.step_id, ondelete="CASCADE"), index=True)
    seed: Mapped[int]
    data_type: Mapped[str]
    dataset: Mapped[str]  # name, closed before the file was written
    reason: Mapped[str]
    found_at: Mapped[datetime] = now()
    attempt: Mapped[int | None] = mapped_column(Integer)  # number that the further dataset has in its name
    taken_into: Mapped[str] = mapped_column(default="", server_default="")  # name of the further dataset
    taken_by: Mapped[str] = mapped_column(default="", server_default="")
    taken_at: Mapped[datetime | None]


class DatasetRow(Base):
    """A dataset or container of a request, as read back from Rucio."""

    __tablename__ = "dataset"

    did: Mapped[str] = mapped_column(primary_key=True)
    request_id: Mapped[str] = mapped_column(ForeignKey(RequestRow.request_id), index=True)
    step: Mapped[str | None]
    bunch: Mapped[int | None] = mapped_column(Integer)
    data_type: Mapped[str | None]
    kind: Mapped[str]  # of `DataKind`
    files: Mapped[int] = mapped_column(default=0)
    bytes: Mapped[int] = mapped_column(default=0)
    events: Mapped[int] = mapped_column(default=0)
    closed: Mapped[bool] = mapped_column(Boolean, default=False)
    strays: Mapped[int] = mapped_column(
        Integer, default=0, server_default="0"
    )  # files that do not count and stay in it
    read_back_at: Mapped[datetime] = now()
    compared_at: Mapped[datetime | None]  # with Rucio after it was delivered, whatever was seen


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
    checked_at: Mapped[datetime] = now()
    created_at: Mapped[datetime] = now()
    compared_at: Mapped[datetime | None]  # with Rucio after it was delivered, whatever was seen


class CertificateRow(Base):
    """A certificate; a later revision supersedes, nothing is edited."""

    __tablename__ = "certificate"

    request_id: Mapped[str] = mapped_column(ForeignKey(RequestRow.request_id), primary_key=True)
    certificate_revision: Mapped[int] = mapped_column(Integer, primary_key=True)
    digest: Mapped[str]
    body: Mapped[dict[str, Any]]
    path: Mapped[str]
    issued_at: Mapped[datetime] = now()
