"""Tables of the ledger, schema ``prodsys``. Rules that must hold for ever are constraints of the database."""

from __future__ import annotations

from prodsys.ledger.rows.asked import (
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
from prodsys.ledger.rows.base import CONVENTION, SCHEMA, Base
from prodsys.ledger.rows.brought import (
    CertificateRow,
    DatasetRow,
    FileRow,
    InputFileRow,
    LateFileRow,
    LostFileRow,
    RuleRow,
)
from prodsys.ledger.rows.compared import FindingRow, LookRow
from prodsys.ledger.rows.done import QuestionRow, SeedOutcomeRow, StepRow, TaskRow
from prodsys.ledger.rows.told import AuditRow, CallRow, HistoryTaskRow, IdempotencyRow, RunRow

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
