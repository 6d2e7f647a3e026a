"""The first airflow task of a run: may this run drive this request?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow.sdk.bases.skipmixin import SkipMixin

from prodsys.hooks.run_notes import note_run
from prodsys.operators.base import RequestOperator, triggered_by

if TYPE_CHECKING:
    from airflow.sdk import Context as AirflowContext

    from prodsys.actions.core.context import Context


class GateOperator(RequestOperator, SkipMixin):
    """Lets a run go on, or ends it at once, green, with a note that says why."""

    inherits_from_skipmixin = True  # cleared airflow tasks behind a closed gate stay skipped
    ui_color = "#f4e8c1"

    def act(self, ctx: Context, context: AirflowContext) -> str:
        """The answer's words; a run that may not drive is skipped behind this."""
        from prodsys.actions.runs.run_ownership import enter

        run = context["dag_run"]
        answer = enter(ctx, self.request_id, self.revision, run.dag_id, run.run_id, triggered_by(context))
        self.log.info(answer.message)
        if not answer.drive:
            note_run(ctx, context, answer.message)
            context["ti"].xcom_push(key="return_value", value=answer.message)  # skipping returns nothing
            self.skip(ti=context["ti"], tasks=self.get_flat_relatives(upstream=False))
        return answer.message
