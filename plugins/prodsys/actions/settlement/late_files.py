"""What PanDA wrote after its datasets were closed is taken into further datasets: registered, not simulated again."""

from __future__ import annotations

from datetime import UTC, datetime

from prodsys.actions.core.context import Context
from prodsys.ledger.absent_files import late_rows, next_attempt
from prodsys.ledger.journal import write_audit
from prodsys.ledger.requests import get_request
from prodsys.ledger.session import transaction
from prodsys.ledger.tables import StepRow
from prodsys.model.plan import Plan


def take_late_files(ctx: Context, plan: Plan, step: StepRow) -> tuple[int, ...]:
    """Decide that the late files of a step go into further datasets, under the next free number; their seeds.

    `data` makes the datasets; from now on the files count as if they had been written there.
    """
    with transaction(ctx.sessions) as session:
        get_request(session, plan.request_id, lock=True)
        rows = late_rows(session, step.step_id)
        if not rows:
            return ()
        attempt = next_attempt(session, step.step_id)
        for row in rows:
            row.taken_into = plan.sample.dataset(step.kind, row.data_type, attempt, step.bunch)
            row.attempt, row.taken_by, row.taken_at = attempt, ctx.who, datetime.now(UTC)
        seeds = tuple(sorted({row.seed for row in rows}))
        names = sorted({row.taken_into for row in rows})
        write_audit(session, ctx.who, "take late files", plan.request_id, step=step.kind, seeds=seeds, datasets=names)
        return seeds
