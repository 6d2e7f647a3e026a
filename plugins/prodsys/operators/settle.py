"""Conclude about a step: full, accepted partial, mispaired or failed (DESIGN decision 7)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prodsys.model.statuses import Verdict
from prodsys.operators.base import StepOperator, note_run

if TYPE_CHECKING:
    from airflow.sdk import Context as AirflowContext

    from prodsys.actions.context import Context


class SettleOperator(StepOperator):
    """Compares what a step brought with the plan, seed by seed; a bad verdict fails the run."""

    ui_color = "#e2d4f0"

    def drive(self, ctx: Context, context: AirflowContext) -> str:
        """The verdict; an accepted partial stays green and leaves a note on the run."""
        from prodsys.actions.settling import settle_step

        answer = settle_step(ctx, self.request_id, self.step)
        self.log.info("%s of %s: %s", self.step, self.request_id, answer.message)
        if answer.verdict is Verdict.PARTIAL:
            note_run(ctx, context, answer.message)
        return str(answer.verdict)
