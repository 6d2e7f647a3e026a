"""Tables of the ledger, schema ``prodsys``. Rules that must hold for ever are constraints of the database."""

from __future__ import annotations

from prodsys.ledger.rows.base import CONVENTION, SCHEMA, Base
from prodsys.ledger.rows.comparisons import FindingRow, LookRow
from prodsys.ledger.rows.data import (
    CertificateRow,
    DatasetRow,
    FileRow,
    InputFileRow,
    LateFileRow,
    LostFileRow,
    RuleRow,
)
from prodsys.ledger.rows.execution import QuestionRow, SeedOutcomeRow, StepRow, TaskRow
from prodsys.ledger.rows.operations import AuditRow, CallRow, HistoryTaskRow, IdempotencyRow, RunRow
from prodsys.ledger.rows.requests import (
    ImportReportRow,
    PlanRow,
    PublicationRow,
    RecurringRow,
    RequestFileRow,
    RequestRow,
    RevisionRow,
    SeedClaimRow,
    SeedReuseRow,
)

__all__ = [
    "CONVENTION",
    "SCHEMA",
    "AuditRow",
    "Base",
    "CallRow",
    "CertificateRow",
    "DatasetRow",
    "FileRow",
    "FindingRow",
    "HistoryTaskRow",
    "IdempotencyRow",
    "ImportReportRow",
    "InputFileRow",
    "LateFileRow",
    "LookRow",
    "LostFileRow",
    "PlanRow",
    "PublicationRow",
    "QuestionRow",
    "RecurringRow",
    "RequestFileRow",
    "RequestRow",
    "RevisionRow",
    "RuleRow",
    "RunRow",
    "SeedClaimRow",
    "SeedOutcomeRow",
    "SeedReuseRow",
    "StepRow",
    "TaskRow",
]
