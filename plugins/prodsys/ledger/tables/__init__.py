"""Tables of the ledger, schema ``prodsys``. Rules that must hold for ever are constraints of the database."""

from __future__ import annotations

from prodsys.ledger.tables.asked import (
    PlanRow,
    PublicationRow,
    RecurringRow,
    RequestRow,
    RevisionRow,
    SeedClaimRow,
    SeedReuseRow,
)
from prodsys.ledger.tables.base import CONVENTION, SCHEMA, Base
from prodsys.ledger.tables.brought import CertificateRow, DatasetRow, FileRow, InputFileRow, LostFileRow, RuleRow
from prodsys.ledger.tables.done import QuestionRow, SeedOutcomeRow, StepRow, TaskRow
from prodsys.ledger.tables.told import AuditRow, CallRow, HistoryTaskRow, IdempotencyRow, RunRow

__all__ = [
    "CONVENTION",
    "SCHEMA",
    "AuditRow",
    "Base",
    "CallRow",
    "CertificateRow",
    "DatasetRow",
    "FileRow",
    "HistoryTaskRow",
    "IdempotencyRow",
    "InputFileRow",
    "LostFileRow",
    "PlanRow",
    "PublicationRow",
    "QuestionRow",
    "RecurringRow",
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
