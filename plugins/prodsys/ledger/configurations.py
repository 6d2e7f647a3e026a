"""Configurations that productions have used: what a new one is compared with."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.orm import Session

from prodsys.ledger.tables import RequestRow, RevisionRow
from prodsys.model.request import Configuration, RequestSpec
from prodsys.model.statuses import RequestState

UNPROVEN = (  # nobody has approved what these ask for: their words may be slips themselves
    RequestState.DRAFT,
    RequestState.CHECKED,
    RequestState.PLANNED,
    RequestState.ABORTED,
    RequestState.DELETED,
)


def used_configurations(session: Session, but: str) -> list[tuple[str, Configuration]]:
    """Each configuration that was approved or recorded, with the first request that has it, in the order of ids."""
    current = (RevisionRow.request_id == RequestRow.request_id) & (RevisionRow.revision == RequestRow.revision)
    wanted = (
        select(RevisionRow.request_id, RevisionRow.spec)
        .ext(distinct_on(RevisionRow.configuration))
        .join(RequestRow, current)
        .where(RequestRow.state.not_in([str(one) for one in UNPROVEN]), RequestRow.request_id != but)
        .order_by(RevisionRow.configuration, RevisionRow.request_id)
    )
    found = [
        (request_id, Configuration.of(RequestSpec.model_validate(spec))) for request_id, spec in session.execute(wanted)
    ]
    return sorted(found, key=lambda pair: pair[0])
