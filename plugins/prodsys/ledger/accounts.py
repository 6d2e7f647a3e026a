"""Accounts of seeds: what was asked of each step, and in which column every seed stands."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import ColumnElement, case, func, select
from sqlalchemy.orm import Session

from prodsys.ledger.tables import RequestRow, SeedOutcomeRow, StepRow
from prodsys.model.outcome import SeedState


@dataclass(frozen=True)
class SeedAccount:
    """One step, of one bunch where there are bunches: asked = delivered + missing + waived, no seed in two columns."""

    request_id: str
    step: str
    bunch: int | None
    asked: int  # 0 before the step was settled
    delivered: int
    missing: int
    waived: int
    lost_before: int  # of missing and waived: those that an earlier step lost
    events: int
    verdict: str | None


def seed_accounts(session: Session, request_ids: Collection[str]) -> list[SeedAccount]:
    """Accounts of the current revisions of these requests, by request, step and bunch; in one statement."""
    came = SeedOutcomeRow.state == SeedState.DELIVERED
    waived = (~came) & (SeedOutcomeRow.waived != "")
    wanted = (
        select(
            StepRow.request_id,
            StepRow.kind,
            StepRow.bunch,
            func.count(SeedOutcomeRow.seed),
            _count(came),
            _count((~came) & (SeedOutcomeRow.waived == "")),
            _count(waived),
            _count((~came) & (SeedOutcomeRow.lost_in != StepRow.kind)),
            func.coalesce(func.sum(case((came, SeedOutcomeRow.events), else_=0)), 0),
            StepRow.verdict,
        )
        .join(RequestRow, (RequestRow.request_id == StepRow.request_id) & (RequestRow.revision == StepRow.revision))
        .outerjoin(SeedOutcomeRow, SeedOutcomeRow.step_id == StepRow.step_id)
        .where(StepRow.request_id.in_(request_ids))
        .group_by(StepRow.step_id)
        .order_by(StepRow.request_id, StepRow.ordinal, StepRow.bunch)
    )
    return [SeedAccount(*row) for row in session.execute(wanted)]


def _count(condition: ColumnElement[bool]) -> ColumnElement[int]:
    return func.count(case((condition, 1)))
