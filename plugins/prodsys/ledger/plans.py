"""Plans of a request: stored once, compared with the one before; names that the request made itself."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from prodsys.ledger.requests import find_plan
from prodsys.ledger.rows.requests import PLAN_NUMBERS
from prodsys.ledger.tables import DatasetRow, PlanRow, StepRow, TaskRow
from prodsys.model.estimate import Estimate
from prodsys.model.plan import LOG, Plan
from prodsys.model.plan_changes import Change, plan_changes
from prodsys.model.statuses import DRIVEN, RequestState


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
        stored.number = session.scalar(PLAN_NUMBERS.next_value())
    stored.estimate, stored.warnings = estimate.model_dump(mode="json"), list(warnings)
    session.flush()
    return stored, stored is not last


def changes_of(session: Session, stored: PlanRow) -> tuple[Change, ...]:
    """What differs from the last other plan of the request that was made before; () for the first."""
    wanted = select(PlanRow.body).where(
        PlanRow.request_id == stored.request_id,
        PlanRow.digest != stored.digest,
        PlanRow.number < stored.number,
    )
    before = session.scalars(wanted.order_by(PlanRow.number.desc()).limit(1)).first()
    return plan_changes(before, stored.body) if before else ()


def forget_first_approval(session: Session, request_id: str) -> str:
    """Take back the approval that waits for a second person: whose it was; "" when none does."""
    stored = find_plan(session, request_id)
    if stored is None or stored.approved_by is None or stored.approved_at is not None:
        return ""
    first, stored.approved_by = stored.approved_by, None
    return first


_PROMISED = """
select p.body -> 'rules' -> 'rses' as rses, (p.body -> 'rules' ->> 'copies')::int as copies,
    greatest(0, coalesce(p.estimate ->> 'volume_bytes', p.body ->> 'volume_bytes')::numeric
        - coalesce(d.bytes, 0)) as bytes
from prodsys.request as r
join prodsys.plan as p on p.request_id = r.request_id and p.revision = r.revision and p.approved_at is not null
left join (
    select request_id, sum(bytes) as bytes from prodsys.dataset
    where kind = 'dataset' and data_type <> :log group by request_id
) as d on d.request_id = r.request_id
where r.state = any(:states) and r.request_id <> :but
"""
UNDER_WAY = DRIVEN | {RequestState.APPROVED, RequestState.DELAYED, RequestState.READY}


def promised_bytes(session: Session, but: str) -> dict[str, int]:
    """Storage -> bytes that approved requests will still write there; of a choice of storages each takes its share."""
    given = {"log": LOG, "states": [str(state) for state in UNDER_WAY], "but": but}
    found: dict[str, int] = defaultdict(int)
    for row in session.execute(text(_PROMISED), given):
        for rse in row.rses:
            found[rse] += int(row.bytes) * row.copies // len(row.rses)
    return dict(found)


def own_names(session: Session, request_id: str) -> tuple[frozenset[str], frozenset[str]]:
    """Names of tasks, and DIDs, that the request itself made or intends."""
    tasks = select(TaskRow.task_name).join(StepRow, StepRow.step_id == TaskRow.step_id)
    dids = select(DatasetRow.did).where(DatasetRow.request_id == request_id)
    return (
        frozenset(session.scalars(tasks.where(StepRow.request_id == request_id))),
        frozenset(session.scalars(dids)),
    )
