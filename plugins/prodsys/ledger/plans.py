"""Plans of a request: stored once, compared with the one before; names that the request made itself."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from prodsys.ledger.requests import find_plan
from prodsys.ledger.tables import DatasetRow, PlanRow, StepRow, TaskRow
from prodsys.model.estimate import Estimate
from prodsys.model.plan import Plan
from prodsys.model.plan_changes import Change, plan_changes


def store_plan(
    session: Session, plan: Plan, estimate: Estimate, warnings: Sequence[str], who: str
) -> tuple[PlanRow, bool]:
    """The row of a plan with the newest estimate and warnings, and whether the plan is another than the last one."""
    digest = plan.digest()
    last = find_plan(session, plan.request_id)
    stored = session.get(PlanRow, (plan.request_id, digest))
    if stored is None:
        stored = PlanRow(
            request_id=plan.request_id,
            digest=digest,
            revision=plan.revision,
            body=plan.model_dump(mode="json"),
            planned_by=who,
            planned_at=datetime.now(UTC),
        )
        session.add(stored)
    elif stored is not last:  # the specs are again as they were: it is the newest once more
        stored.planned_by, stored.planned_at = who, datetime.now(UTC)
    stored.estimate, stored.warnings = estimate.model_dump(mode="json"), list(warnings)
    session.flush()
    return stored, stored is not last


def changes_of(session: Session, stored: PlanRow) -> tuple[Change, ...]:
    """What differs from the last other plan of the request that was made before; () for the first."""
    wanted = select(PlanRow.body).where(
        PlanRow.request_id == stored.request_id,
        PlanRow.digest != stored.digest,
        PlanRow.planned_at <= stored.planned_at,
    )
    before = session.scalars(wanted.order_by(PlanRow.planned_at.desc()).limit(1)).first()
    return plan_changes(before, stored.body) if before else ()


def own_names(session: Session, request_id: str) -> tuple[frozenset[str], frozenset[str]]:
    """Names of tasks, and DIDs, that the request itself made or intends."""
    tasks = select(TaskRow.task_name).join(StepRow, StepRow.step_id == TaskRow.step_id)
    dids = select(DatasetRow.did).where(DatasetRow.request_id == request_id)
    return (
        frozenset(session.scalars(tasks.where(StepRow.request_id == request_id))),
        frozenset(session.scalars(dids)),
    )
