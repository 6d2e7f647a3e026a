"""A request as a person sees it before deciding: what the decision depends on, and the tag of exactly that.

What changes by itself while a request runs (tasks, files, rules) is not in it: whoever pauses a request need not have
seen the last job. A decision that names the tag is refused when the picture has changed meanwhile.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from prodsys.actions.core.context import Context
from prodsys.ledger.expectation import Expectation, expecting
from prodsys.ledger.requests import get_request, get_revision
from prodsys.ledger.session import transaction
from prodsys.ledger.tables import CertificateRow, PlanRow, QuestionRow, RequestRow, StepRow
from prodsys.model.request import digest_of
from prodsys.model.statuses import RequestState
from prodsys.model.times import utc_iso
from prodsys.model.transitions import possible_acts

COPIED = (
    "request_id", "state", "reason", "recorded_status", "campaign", "priority", "revision", "requester", "cloned_from",
    "extends", "trial_of", "template", "runs",
)  # fmt: skip
MOMENTS = ("interval_start", "created_at", "changed_at", "not_before", "launched_at", "closed_at")
PLAN_COPIED = ("digest", "planned_by", "planned_at", "approved_by", "approved_at", "seconded_by", "seconded_at")
TAG_LENGTH = 32


@dataclass(frozen=True)
class RequestSnapshot:
    """A request and the tag of this picture of it."""

    body: dict[str, Any]
    tag: str


def iso(when: datetime | None) -> str | None:
    """A moment as text, or None."""
    return utc_iso(when) if when else None


def take_snapshot(session: Session, row: RequestRow) -> RequestSnapshot:
    """What a decision about a request depends on, as plain values with stable keys."""
    session.flush()  # the plan is read past the session
    revision = get_revision(session, row.request_id)
    body = {name: getattr(row, name) for name in COPIED}
    body |= {name: iso(getattr(row, name)) for name in MOMENTS}
    body |= {
        "configuration": revision.configuration,
        "spec": revision.spec,
        "source": revision.source,
        "plan": _plan(session, row),
        "certificate_revision": session.scalar(
            select(func.max(CertificateRow.certificate_revision)).where(CertificateRow.request_id == row.request_id)
        ),
        "open_questions": _open_questions(session, row.request_id),
        "acts": [str(act) for act in possible_acts(RequestState(row.state))],
    }
    return RequestSnapshot(body, tag_of(body))


def tag_of(body: dict[str, Any]) -> str:
    """The tag of a picture: equal pictures have equal tags."""
    return digest_of(body).removeprefix("sha256:")[:TAG_LENGTH]


def _plan(session: Session, row: RequestRow) -> dict[str, Any] | None:
    """The newest plan of the revision, without its body, which may be large."""
    columns = [getattr(PlanRow, name) for name in PLAN_COPIED]
    wanted = select(*columns).where(PlanRow.request_id == row.request_id, PlanRow.revision == row.revision)
    found = session.execute(wanted.order_by(PlanRow.number.desc()).limit(1)).first()
    if found is None:
        return None
    return {name: iso(value) if isinstance(value, datetime) else value for name, value in found._mapping.items()}


def _open_questions(session: Session, request_id: str) -> list[int]:
    wanted = select(QuestionRow.question_id).join(StepRow, StepRow.step_id == QuestionRow.step_id)
    wanted = wanted.where(StepRow.request_id == request_id, QuestionRow.answer.is_(None))
    return list(session.scalars(wanted.order_by(QuestionRow.question_id)))


def show_snapshot(ctx: Context, request_id: str) -> RequestSnapshot:
    """A request as it stands."""
    with transaction(ctx.sessions) as session:
        return take_snapshot(session, get_request(session, request_id))


def expect(ctx: Context, request_id: str, tags: tuple[str, ...]) -> Context:
    """A context that acts on the request only as it was seen: compared now, and again when the action has locked it.

    Raises
    ------
    RequestChanged
        It carries none of these tags any more; the action raises it too.
    """

    def current(session: Session, row: RequestRow) -> str:
        return take_snapshot(session, row).tag

    seen = Expectation(request_id, tags, current)
    with transaction(ctx.sessions) as session:
        seen.check(session, get_request(session, request_id))
    return replace(ctx, sessions=expecting(ctx.sessions, replace(seen, met=False)))
