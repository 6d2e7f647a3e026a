"""The airflow task of a recurring template: the request of the run's data interval."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from prodsys.errors import SpecInvalid
from prodsys.operators.base import ServiceOperator

if TYPE_CHECKING:
    from airflow.sdk import Context as AirflowContext

    from prodsys.actions.core.context import Context


class RecurringOperator(ServiceOperator):
    """Makes the one request of an interval and brings it as far as its template wants; done again, it is the same."""

    template_fields = ("template",)
    ui_color = "#e6def2"

    def __init__(self, *, template: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.template = template

    def act(self, ctx: Context, context: AirflowContext) -> str:
        """Id of the interval's request."""
        from prodsys.actions.runs.recurring import recur
        from prodsys.intake.recurring_files import get_template
        from prodsys.settings import read_settings

        template = get_template(read_settings().specs, self.template)
        begin, end = interval_of(context, self.template)
        if template.bounds(template.ordinal_of(begin))[1] != end:
            words = f"the run's interval {begin} to {end} is not one of its schedule"
            raise SpecInvalid(
                self.template, words, "the schedule has changed: wait until Airflow has read the DAG again"
            )
        who = ctx.acting_as(f"template {template.name}", *ctx.roles)
        answer = recur(who, template, begin, now=max(end, datetime.now(UTC)))
        verb = "made" if answer.created else "was made before"
        self.log.info("%s %s, seeds %s, is %s. %s", answer.request_id, verb, answer.seeds, answer.state, answer.message)
        return answer.request_id


def interval_of(context: AirflowContext, template: str) -> tuple[datetime, datetime]:
    """Beginning and end of the data interval of a run.

    Raises
    ------
    SpecInvalid
        The run has none: somebody triggered it by hand, without a logical date.
    """
    run: Any = context["dag_run"]
    begin, end = run.data_interval_start, run.data_interval_end
    if begin is None or end is None or begin >= end:
        raise SpecInvalid(
            f"recurring__{template}",
            "this run has no data interval: it was triggered by hand, without a logical date",
            f"prodsys recurring run {template} --interval <its beginning>, or a backfill, or a run with a logical date",
        )
    return begin.astimezone(UTC), end.astimezone(UTC)
