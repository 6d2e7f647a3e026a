"""Look for damage in the ledger itself: approved plans that are not what was approved, publications without a plan."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import ValidationError
from sqlalchemy import select

from prodsys.actions.core.context import Context
from prodsys.actions.reconciliation.findings import Finding
from prodsys.ledger.findings import close_subjects, get_look, set_look
from prodsys.ledger.publications import active_publications, current_version
from prodsys.ledger.session import transaction
from prodsys.ledger.tables import PlanRow, RequestRow
from prodsys.model.plan import Plan
from prodsys.model.request import digest_of
from prodsys.model.statuses import RequestState, Severity

LOOK = "damaged_plans"
ADVICE = "put the row back from a backup; until then do not launch, retry or settle the request"


def damaged_plans(ctx: Context, repair: bool) -> Iterator[Finding]:  # noqa: ARG001 - nothing is mended here
    """Approved plans whose body is not what its digest was made of; some each time, archived requests left out."""
    limit = ctx.catalogue.policy.reconcile.catalogue_calls
    wanted = select(PlanRow).join(RequestRow, RequestRow.request_id == PlanRow.request_id)
    wanted = wanted.where(PlanRow.approved_at.is_not(None), RequestRow.state != RequestState.ARCHIVED)
    place = PlanRow.request_id + " " + PlanRow.digest
    with transaction(ctx.sessions) as session:
        rows = session.scalars(
            wanted.where(place > get_look(session, LOOK).position).order_by(place).limit(limit)
        ).all()
    damaged = [row for row in rows if not is_intact(row.body, row.digest)]
    for row in damaged:
        what = f"the stored plan {row.digest} of {row.request_id} is not what was approved"
        cause = "its row was changed in the database, or damaged"
        yield Finding(row.request_id, what, cause, False, ADVICE, row.digest, "damaged", Severity.ERROR)
    with transaction(ctx.sessions) as session:
        last = rows[-1] if len(rows) == limit else None  # from the beginning when that was the end
        set_look(session, LOOK, f"{last.request_id} {last.digest}" if last else "")
        close_subjects(session, [LOOK], [row.digest for row in rows if row not in damaged])


def is_intact(body: Mapping[str, Any], digest: str) -> bool:
    """Whether a stored plan is what its digest was made of: as it is stored, or as this version reads it."""
    if digest_of(body) == digest:
        return True
    try:
        return Plan.model_validate(body).digest() == digest
    except ValidationError:
        return False


def damaged_publications(ctx: Context, repair: bool) -> Iterator[Finding]:  # noqa: ARG001 - nothing is mended here
    """Published requests whose digest is that of no approved plan of theirs: their DAG cannot be built any more."""
    with transaction(ctx.sessions) as session:
        published = active_publications(session, current_version(session))
        digests = [one.digest for one in published]
        approved = select(PlanRow.request_id, PlanRow.digest).where(
            PlanRow.digest.in_(digests), PlanRow.approved_at.is_not(None)
        )
        known = {(row.request_id, row.digest) for row in session.execute(approved)}
    for one in published:
        if (one.request_id, one.digest) not in known:
            what = f"publication {one.number} of {one.request_id} is of the plan {one.digest}, which nobody approved"
            cause = "a row was changed in the database, or damaged"
            yield Finding(one.request_id, what, cause, False, ADVICE, f"publication {one.number}", one.digest,
                          Severity.ERROR)  # fmt: skip
