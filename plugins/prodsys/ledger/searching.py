"""Lists of the ledger, page by page: filters, order, total; a fixed number of statements whatever their length."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, TypeVar

from sqlalchemy import ColumnElement, Select, func, or_, select
from sqlalchemy.orm import InstrumentedAttribute, Session, defer

from prodsys.ledger.seeds import RESERVED, to_range
from prodsys.ledger.tables import (
    AuditRow,
    CertificateRow,
    DatasetRow,
    FileRow,
    FindingRow,
    PlanRow,
    QuestionRow,
    RequestRow,
    RevisionRow,
    SeedClaimRow,
    SeedOutcomeRow,
    StepRow,
    TaskRow,
)
from prodsys.model.seeds import SeedRange
from prodsys.model.statuses import RequestState

T = TypeVar("T")
Condition = ColumnElement[bool]
Column = InstrumentedAttribute[Any]
MAX_LIMIT = 1000
REQUEST_ORDERS: dict[str, Column] = {
    "request_id": RequestRow.request_id,
    "state": RequestRow.state,
    "campaign": RequestRow.campaign,
    "priority": RequestRow.priority,
    "created_at": RequestRow.created_at,
    "changed_at": RequestRow.changed_at,
}
TASK_ORDERS: dict[str, Column] = {
    "task_name": TaskRow.task_name,
    "jedi_task_id": TaskRow.jedi_task_id,
    "status": TaskRow.status,
    "created_at": TaskRow.created_at,
}
DATASET_ORDERS: dict[str, Column] = {
    "did": DatasetRow.did,
    "bytes": DatasetRow.bytes,
    "files": DatasetRow.files,
    "events": DatasetRow.events,
}
PLAN_ORDERS: dict[str, Column] = {"planned_at": PlanRow.planned_at, "request_id": PlanRow.request_id}
PLAN_SUMS = ("events", "volume_bytes", "volume_with_copies_bytes", "core_hours")
AUDIT_ORDERS: dict[str, Column] = {"at": AuditRow.at}


@dataclass(frozen=True)
class Window:
    """Which part of a list: so many after so many, in this order (``-`` before a name: from the largest down)."""

    offset: int = 0
    limit: int = 50
    sort: str = ""


@dataclass(frozen=True)
class Found(Generic[T]):
    """One page of a list, and how long the whole list is."""

    rows: list[T]
    total: int


def _page(
    session: Session, wanted: Select[*tuple[Any, ...]], window: Window, orders: dict[str, Column], unique: Sequence[Any]
) -> Found[Any]:
    """One page; two statements. The order ends with something unique, so that pages neither overlap nor leave out."""
    total = session.scalar(select(func.count()).select_from(wanted.order_by(None).subquery())) or 0
    column = orders.get(window.sort.removeprefix("-"))
    first = [] if column is None else [(column.desc() if window.sort.startswith("-") else column.asc()).nulls_last()]
    statement = wanted.order_by(*first, *unique).offset(window.offset).limit(min(window.limit, MAX_LIMIT))
    return Found(list(session.execute(statement)), total)


def _equal(pairs: Iterable[tuple[Any, Any]]) -> list[Condition]:
    """One condition for each value that was given; a tuple means one of its values."""
    return [
        column.in_(value) if isinstance(value, tuple) else column == value
        for column, value in pairs
        if value is not None and value != ()
    ]


def _holds(text: str | None, *columns: Any) -> list[Condition]:
    """That one of the columns holds a text, whatever its case; what means something to SQL is taken as it stands."""
    return [or_(*(column.icontains(text, autoescape=True) for column in columns))] if text else []


@dataclass(frozen=True)
class RequestFilter:
    """Which requests; deleted ones only where that state is asked for."""

    states: tuple[str, ...] = ()
    campaign: str | None = None
    requester: str | None = None
    text: str | None = None  # in id, tag, campaign or reason
    chain: str | None = None
    label: str | None = None
    related_to: str | None = None  # cloned from it, extends it, a trial of it
    changed_since: datetime | None = None

    def conditions(self) -> list[Condition]:
        """As SQL."""
        spec = RevisionRow.spec
        found = _equal(
            (
                (RequestRow.state, self.states),
                (RequestRow.campaign, self.campaign),
                (RequestRow.requester, self.requester),
                (spec["chain"].astext, self.chain),
            )
        )
        found += _holds(self.text, RequestRow.request_id, spec["tag"].astext, RequestRow.campaign, RequestRow.reason)
        if not self.states:
            found.append(RequestRow.state != RequestState.DELETED)
        if self.label:
            found.append(spec["labels"].contains([self.label]))
        if self.related_to:
            kin = (RequestRow.cloned_from, RequestRow.extends, RequestRow.trial_of, RequestRow.template)
            found.append(or_(*(column == self.related_to for column in kin)))
        if self.changed_since:
            found.append(RequestRow.changed_at >= self.changed_since)
        return found


def search_requests(session: Session, wanted: RequestFilter, window: Window) -> Found[tuple[RequestRow, RevisionRow]]:
    """Requests with their current revisions."""
    current = (RevisionRow.request_id == RequestRow.request_id) & (RevisionRow.revision == RequestRow.revision)
    statement = select(RequestRow, RevisionRow).join(RevisionRow, current).where(*wanted.conditions())
    found = _page(session, statement, window, REQUEST_ORDERS, (RequestRow.request_id,))
    return Found([(row[0], row[1]) for row in found.rows], found.total)


def search_plans(
    session: Session, window: Window, request_id: str | None = None, approved: bool | None = None
) -> Found[tuple[PlanRow, dict[str, Any]]]:
    """Plans of all revisions, the newest first, each with the sums of its body; the body itself is not read."""
    conditions = _equal(((PlanRow.request_id, request_id),))
    if approved is not None:
        conditions.append(PlanRow.approved_at.is_not(None) if approved else PlanRow.approved_at.is_(None))
    statement = select(PlanRow, *(PlanRow.body[name].label(name) for name in PLAN_SUMS)).where(*conditions)
    statement = statement.options(defer(PlanRow.body), defer(PlanRow.estimate))  # large: a plan may have 500 bunches
    unique = (PlanRow.planned_at.desc(), PlanRow.digest)
    found = _page(session, statement, window, PLAN_ORDERS, unique)
    return Found([(row[0], dict(zip(PLAN_SUMS, row[1:], strict=True))) for row in found.rows], found.total)


def find_plan_of_digest(session: Session, digest: str) -> PlanRow | None:
    """The plan with this digest, or None."""
    return session.scalars(select(PlanRow).where(PlanRow.digest == digest).limit(1)).first()


@dataclass(frozen=True)
class TaskFilter:
    """Which PanDA tasks."""

    request_id: str | None = None
    step: str | None = None
    statuses: tuple[str, ...] = ()
    intent: str | None = None
    text: str | None = None  # in the name
    task_name: str | None = None
    jedi_task_id: int | None = None
    final: bool | None = None

    def conditions(self) -> list[Condition]:
        """As SQL."""
        found = _equal(
            (
                (StepRow.request_id, self.request_id),
                (StepRow.kind, self.step),
                (TaskRow.status, self.statuses),
                (TaskRow.intent, self.intent),
                (TaskRow.task_name, self.task_name),
                (TaskRow.jedi_task_id, self.jedi_task_id),
                (TaskRow.final, self.final),
            )
        )
        return found + _holds(self.text, TaskRow.task_name)


def search_tasks(session: Session, wanted: TaskFilter, window: Window) -> Found[tuple[StepRow, TaskRow]]:
    """PanDA tasks of all revisions with their steps; the oldest first."""
    statement = select(StepRow, TaskRow).join(TaskRow, TaskRow.step_id == StepRow.step_id)
    statement = statement.options(defer(TaskRow.task_map))  # large, and nobody reads it in a list
    found = _page(
        session, statement.where(*wanted.conditions()), window, TASK_ORDERS, (TaskRow.created_at, TaskRow.task_row_id)
    )
    return Found([(row[0], row[1]) for row in found.rows], found.total)


def current_tasks(session: Session, request_id: str | None = None) -> list[tuple[StepRow, TaskRow]]:
    """All PanDA tasks of the current revision of one request, or of all, by request, step, bunch and attempt."""
    current = (RequestRow.request_id == StepRow.request_id) & (RequestRow.revision == StepRow.revision)
    wanted = select(StepRow, TaskRow).join(TaskRow, TaskRow.step_id == StepRow.step_id).join(RequestRow, current)
    wanted = wanted.where(*_equal(((StepRow.request_id, request_id),))).options(defer(TaskRow.task_map))
    ordered = wanted.order_by(StepRow.request_id, StepRow.ordinal, StepRow.bunch, TaskRow.attempt)
    return [(step, task) for step, task in session.execute(ordered)]


def search_claims(
    session: Session,
    window: Window,
    *,
    configuration: str | None = None,
    request_id: str | None = None,
    overlapping: SeedRange | None = None,
) -> Found[tuple[SeedClaimRow, str]]:
    """Claims of seeds with the state of their owners, by configuration and seeds; a template's are `reserved`."""
    conditions = _equal(((SeedClaimRow.configuration, configuration), (SeedClaimRow.request_id, request_id)))
    if overlapping:
        conditions.append(SeedClaimRow.seeds.overlaps(to_range(overlapping)))
    of_request = RequestRow.request_id == SeedClaimRow.request_id
    statement = select(SeedClaimRow, RequestRow.state).outerjoin(RequestRow, of_request)
    unique = (SeedClaimRow.configuration, SeedClaimRow.seeds, SeedClaimRow.claim_id)
    found = _page(session, statement.where(*conditions), window, {}, unique)
    return Found([(row[0], row[1] or RESERVED) for row in found.rows], found.total)


def search_outcomes(
    session: Session, request_id: str, window: Window, *, step: str | None = None, state: str | None = None
) -> Found[tuple[StepRow, SeedOutcomeRow]]:
    """What each seed of a request brought in each step of its current revision."""
    statement = (
        select(StepRow, SeedOutcomeRow)
        .join(SeedOutcomeRow, SeedOutcomeRow.step_id == StepRow.step_id)
        .join(RequestRow, (RequestRow.request_id == StepRow.request_id) & (RequestRow.revision == StepRow.revision))
        .where(StepRow.request_id == request_id, *_equal(((StepRow.kind, step), (SeedOutcomeRow.state, state))))
    )
    unique = (StepRow.ordinal, SeedOutcomeRow.seed, StepRow.step_id)
    found = _page(session, statement, window, {}, unique)
    return Found([(row[0], row[1]) for row in found.rows], found.total)


@dataclass(frozen=True)
class DatasetFilter:
    """Which datasets and containers."""

    request_id: str | None = None
    kind: str | None = None
    step: str | None = None
    data_type: str | None = None
    text: str | None = None  # in the DID

    def conditions(self) -> list[Condition]:
        """As SQL."""
        found = _equal(
            (
                (DatasetRow.request_id, self.request_id),
                (DatasetRow.kind, self.kind),
                (DatasetRow.step, self.step),
                (DatasetRow.data_type, self.data_type),
            )
        )
        return found + _holds(self.text, DatasetRow.did)


def search_datasets(session: Session, wanted: DatasetFilter, window: Window) -> Found[DatasetRow]:
    """Datasets and containers, by DID."""
    statement = select(DatasetRow).where(*wanted.conditions())
    found = _page(session, statement, window, DATASET_ORDERS, (DatasetRow.did,))
    return Found([row[0] for row in found.rows], found.total)


def search_files(session: Session, dataset: str, window: Window) -> Found[FileRow]:
    """Files of a dataset (its name without scope) in the order of seeds."""
    statement = select(FileRow).where(FileRow.dataset == dataset)
    found = _page(session, statement, window, {}, (FileRow.seed, FileRow.lfn))
    return Found([row[0] for row in found.rows], found.total)


@dataclass(frozen=True)
class AuditFilter:
    """Which lines of the audit log."""

    request_id: str | None = None
    who: str | None = None
    action: str | None = None
    since: datetime | None = None
    until: datetime | None = None

    def conditions(self) -> list[Condition]:
        """As SQL."""
        found = _equal(
            (
                (AuditRow.request_id, self.request_id),
                (AuditRow.who, self.who),
                (AuditRow.action, self.action),
            )
        )
        found += [AuditRow.at >= self.since] if self.since else []
        return found + ([AuditRow.at < self.until] if self.until else [])


def search_audit(session: Session, wanted: AuditFilter, window: Window) -> Found[AuditRow]:
    """Who did what, the newest first unless asked otherwise."""
    unique = (AuditRow.audit_id,) if window.sort == "at" else (AuditRow.audit_id.desc(),)
    found = _page(session, select(AuditRow).where(*wanted.conditions()), window, AUDIT_ORDERS, unique)
    return Found([row[0] for row in found.rows], found.total)


def search_certificates(session: Session, window: Window, request_id: str | None = None) -> Found[Any]:
    """Certificates without their bodies, the newest first: request, revision, digest, path, moment, verdict."""
    row = CertificateRow
    statement = select(
        row.request_id,
        row.certificate_revision,
        row.digest,
        row.path,
        row.issued_at,
        row.body["verdict"].astext.label("verdict"),
    ).where(*_equal(((row.request_id, request_id),)))
    unique = (row.issued_at.desc(), row.request_id, row.certificate_revision.desc())
    return _page(session, statement, window, {}, unique)


def search_questions(
    session: Session, window: Window, request_id: str | None = None, *, waiting: bool | None = None
) -> Found[tuple[QuestionRow, StepRow]]:
    """Questions to persons with the steps they are about, the newest first."""
    conditions = _equal(((StepRow.request_id, request_id),))
    if waiting is not None:
        conditions.append(QuestionRow.answer.is_(None) if waiting else QuestionRow.answer.is_not(None))
    statement = select(QuestionRow, StepRow).join(StepRow, StepRow.step_id == QuestionRow.step_id)
    found = _page(session, statement.where(*conditions), window, {}, (QuestionRow.question_id.desc(),))
    return Found([(row[0], row[1]) for row in found.rows], found.total)


def find_question(session: Session, question_id: int) -> tuple[QuestionRow, StepRow] | None:
    """A question with its step, or None."""
    statement = select(QuestionRow, StepRow).join(StepRow, StepRow.step_id == QuestionRow.step_id)
    row = session.execute(statement.where(QuestionRow.question_id == question_id)).first()
    return (row[0], row[1]) if row else None


def search_findings(
    session: Session,
    window: Window,
    request_id: str | None = None,
    severity: str | None = None,
    *,
    waiting: bool | None = None,
) -> Found[FindingRow]:
    """Findings of comparisons, the newest first."""
    conditions = _equal(((FindingRow.request_id, request_id), (FindingRow.severity, severity)))
    if waiting is not None:
        waits = FindingRow.decided_at.is_(None) & FindingRow.closed_at.is_(None)
        conditions.append(waits if waiting else ~waits)
    found = _page(session, select(FindingRow).where(*conditions), window, {}, (FindingRow.finding_id.desc(),))
    return Found([row[0] for row in found.rows], found.total)
