"""Publications: the append-only table whose last number is the version of the DAG bundle (DESIGN decision 3)."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError
from sqlalchemy import and_, func, select, text
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.orm import Session

from prodsys.ledger.tables import PlanRow, PublicationRow, RequestRow
from prodsys.model.approval import describe_estimate
from prodsys.model.estimate import Estimate

ONE_PUBLISHER = 4_711_018  # key of the advisory lock


@dataclass(frozen=True)
class Publication:
    """A request that is in the bundle of some version."""

    number: int
    request_id: str
    revision: int
    digest: str  # of the approved plan
    requester: str
    expected: str = ""  # what the approved plan takes, in Markdown; "": the figures of its chain


def publish(session: Session, request_id: str, revision: int, digest: str, who: str, *, retired: bool = False) -> int:
    """Append a publication; its number is the bundle's new version.

    Publishers take turns until their transactions end: a lower number that became visible after a higher one would
    change what the higher version holds.
    """
    session.execute(text("select pg_advisory_xact_lock(:key)"), {"key": ONE_PUBLISHER})
    row = PublicationRow(request_id=request_id, revision=revision, digest=digest, retired=retired, published_by=who)
    session.add(row)
    session.flush()
    return row.number


def current_version(session: Session) -> int:
    """Last number of the table, 0 when nothing was ever published."""
    return session.scalar(select(func.max(PublicationRow.number))) or 0


def active_publications(session: Session, version: int) -> list[Publication]:
    """Requests in the bundle of a version, by id: of each the last row up to the version, when it is not retired."""
    newest = (
        select(PublicationRow)
        .ext(distinct_on(PublicationRow.request_id))
        .where(PublicationRow.number <= version)
        .order_by(PublicationRow.request_id, PublicationRow.number.desc())
        .subquery()
    )
    columns = (newest.c.number, newest.c.request_id, newest.c.revision, newest.c.digest, RequestRow.requester)
    same = (PlanRow.request_id == newest.c.request_id, PlanRow.digest == newest.c.digest)
    wanted = (
        select(*columns, PlanRow.estimate)
        .join(RequestRow, RequestRow.request_id == newest.c.request_id)
        .outerjoin(PlanRow, and_(*same))
        .where(newest.c.retired.is_(False))
        .order_by(newest.c.request_id)
    )
    return [
        Publication(row.number, row.request_id, row.revision, row.digest, row.requester, _expected(row.estimate))
        for row in session.execute(wanted)
    ]


def _expected(estimate: dict[str, Any] | None) -> str:
    """What was shown with the plan; "" for one that has no estimate, or one that this version cannot read."""
    try:
        return describe_estimate(Estimate.model_validate(estimate)) if estimate else ""
    except ValidationError:
        return ""


def plan_bodies(session: Session, digests: Collection[str]) -> dict[str, dict[str, Any]]:
    """Bodies of plans by digest; a digest that the ledger lacks is not in it."""
    wanted = select(PlanRow.digest, PlanRow.body).where(PlanRow.digest.in_(digests))
    return {row.digest: row.body for row in session.execute(wanted)} if digests else {}
