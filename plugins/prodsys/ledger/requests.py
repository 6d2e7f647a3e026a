"""Queries over requests, their revisions and plans."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable
from datetime import datetime

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Session

from prodsys.errors import IdTaken, InvalidTransition, RequestUnknown
from prodsys.ledger.expectation import check_expected
from prodsys.ledger.tables import CertificateRow, PlanRow, RequestRow, RevisionRow, StepRow
from prodsys.model.names import canonical_id
from prodsys.model.plan import Plan
from prodsys.model.request import RequestSpec
from prodsys.model.statuses import DRIVEN, RequestState
from prodsys.model.transitions import Action, find_move, possible_acts


def find_request(session: Session, request_id: str, *, lock: bool = False) -> RequestRow | None:
    """Row of a request, locked for the transaction when asked; None when there is none.

    Raises
    ------
    RequestChanged
        It was locked, and is not what the person saw who changes it (`ledger.expectation`).
    """
    row = session.get(RequestRow, canonical_id(request_id), with_for_update=lock or None)
    if lock:
        check_expected(session, row)
    return row


def get_request(session: Session, request_id: str, *, lock: bool = False) -> RequestRow:
    """Row of a request.

    Raises
    ------
    RequestUnknown
        The ledger has none of this name; near ones are named.
    """
    row = find_request(session, request_id, lock=lock)
    if row is None:
        known = session.scalars(select(RequestRow.request_id)).all()
        raise RequestUnknown(request_id, difflib.get_close_matches(request_id, known, n=3))
    return row


def get_revision(session: Session, request_id: str, revision: int | None = None) -> RevisionRow:
    """A revision of a request, the current one by default."""
    row = get_request(session, request_id)
    found = session.get(RevisionRow, (request_id, row.revision if revision is None else revision))
    if found is None:
        raise RequestUnknown(f"{request_id} revision {revision}")
    return found


def get_spec(session: Session, request_id: str) -> RequestSpec:
    """What the current revision asks for."""
    return RequestSpec.model_validate(get_revision(session, request_id).spec)


def find_plan(session: Session, request_id: str) -> PlanRow | None:
    """Newest plan of the current revision, or None."""
    row = get_request(session, request_id)
    wanted = select(PlanRow).where(PlanRow.request_id == request_id, PlanRow.revision == row.revision)
    return session.scalars(wanted.order_by(PlanRow.number.desc()).limit(1)).first()


def approved_plan_row(session: Session, request_id: str) -> PlanRow:
    """The approved plan of the current revision.

    Raises
    ------
    InvalidTransition
        The request has not been approved.
    """
    row = get_request(session, request_id)
    wanted = select(PlanRow).where(
        PlanRow.request_id == request_id, PlanRow.revision == row.revision, PlanRow.approved_at.is_not(None)
    )
    found = session.scalars(wanted).first()
    if found is None:
        raise refusal(row, "what needs an approved plan")
    return found


def approved_plan(session: Session, request_id: str) -> Plan:
    """The approved plan of the current revision, as a model."""
    return Plan.model_validate(approved_plan_row(session, request_id).body)


def get_step(session: Session, request_id: str, kind: str, bunch: int | None = None) -> StepRow:
    """Step of the current revision, of one bunch where the request has bunches.

    Raises
    ------
    RequestUnknown
        The request has no such step, or is not published.
    """
    row = get_request(session, request_id)
    wanted = select(StepRow).where(
        StepRow.request_id == request_id,
        StepRow.revision == row.revision,
        StepRow.kind == kind,
        StepRow.bunch.is_not_distinct_from(bunch),
    )
    found = session.scalars(wanted).one_or_none()
    if found is None:
        where = kind if bunch is None else f"{kind} bunch {bunch}"
        raise RequestUnknown(f"{request_id} step {where}")
    return found


def list_steps(session: Session, request_id: str) -> list[StepRow]:
    """Steps of the current revision, in order; each bunch is a row of its own."""
    row = get_request(session, request_id)
    wanted = select(StepRow).where(StepRow.request_id == request_id, StepRow.revision == row.revision)
    return list(session.scalars(wanted.order_by(StepRow.ordinal, StepRow.bunch)))


def refusal(row: RequestRow, action: str) -> InvalidTransition:
    """The error for what the state of this request does not allow; it names the acts that are possible."""
    return InvalidTransition(row.request_id, row.state, action, possible_acts(RequestState(row.state)))


def move(row: RequestRow, act: Action, reason: str = "") -> None:
    """Change the state of a request by an act, when the table of transitions allows it.

    Raises
    ------
    InvalidTransition
        It does not; the possible acts are named.
    """
    found = find_move(RequestState(row.state), act)
    if found is None:
        raise refusal(row, act)
    row.state, row.reason = found.target, reason


def refuse_deleted(row: RequestRow) -> None:
    """An id is used once, also that of a request that nobody wants any more.

    Raises
    ------
    IdTaken
        The request was deleted.
    """
    if row.state == RequestState.DELETED:
        raise IdTaken(row.request_id, f"it was {row.reason}", "take another id")


def list_requests(
    session: Session, states: Collection[str] = (), like: str | None = None
) -> list[tuple[RequestRow, RevisionRow]]:
    """All requests with their current revisions, by id, or those in these states and with this text in their id.

    Deleted ones are among them only when that state is asked for.
    """
    seen = RequestRow.state.in_(states) if states else RequestRow.state != RequestState.DELETED
    conditions: list[ColumnElement[bool]] = [seen]
    if like:
        conditions.append(RequestRow.request_id.icontains(like, autoescape=True))
    current = (RevisionRow.request_id == RequestRow.request_id) & (RevisionRow.revision == RequestRow.revision)
    wanted = select(RequestRow, RevisionRow).join(RevisionRow, current).where(*conditions)
    return [(row, revision) for row, revision in session.execute(wanted.order_by(RequestRow.request_id))]


def waiting_requests(session: Session) -> list[RequestRow]:
    """Requests launched but without a run, the most urgent first."""
    wanted = select(RequestRow).where(RequestRow.state == RequestState.READY, RequestRow.launched_at.is_(None))
    return list(session.scalars(wanted.order_by(RequestRow.priority.desc(), RequestRow.changed_at)))


def due_requests(session: Session, now: datetime) -> list[RequestRow]:
    """Delayed requests whose time has come, locked, the most urgent first; what another process locks is left to it."""
    wanted = select(RequestRow).where(RequestRow.state == RequestState.DELAYED, RequestRow.not_before <= now)
    wanted = wanted.order_by(RequestRow.priority.desc(), RequestRow.not_before).with_for_update(skip_locked=True)
    return list(session.scalars(wanted))


def count_running(session: Session) -> int:
    """Requests that a run drives or is about to drive."""
    driven = RequestRow.state.in_(_texts(DRIVEN))
    started = (RequestRow.state == RequestState.READY) & RequestRow.launched_at.is_not(None)
    return session.scalar(select(func.count()).select_from(RequestRow).where(driven | started)) or 0


def _texts(states: Iterable[RequestState]) -> list[str]:
    return [str(state) for state in states]


def newest_certificate(session: Session, request_id: str) -> CertificateRow | None:
    """Latest revision of the certificate, or None before the request has ended."""
    wanted = select(CertificateRow).where(CertificateRow.request_id == request_id)
    return session.scalars(wanted.order_by(CertificateRow.certificate_revision.desc()).limit(1)).first()
