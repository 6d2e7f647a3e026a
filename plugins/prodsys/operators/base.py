"""What all operators have in common: the context, the ownership of the run, and the record of a failure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowSkipException

from prodsys.hooks.failing import final_errors_fail, record_failures
from prodsys.hooks.outages import WaitsForServices, outages_waited

if TYPE_CHECKING:
    from airflow.sdk import Context as AirflowContext

    from prodsys.actions.core.context import Context

WHO = "airflow"  # in audit lines and the journal; the line names the run


class ServiceOperator(BaseOperator):
    """Base of operators that call one action."""

    def execute(self, context: AirflowContext) -> Any:
        """Answer of the action, for people to see."""
        from prodsys.hooks.context import build_context

        with final_errors_fail():
            return self.act(build_context(who=WHO), context)

    def act(self, ctx: Context, context: AirflowContext) -> Any:
        """Call the action."""
        raise NotImplementedError


class RequestOperator(WaitsForServices, ServiceOperator):
    """Base of operators that do one thing for one request.

    A failure is told to the ledger in the error's own words; a service that is away is waited for, deferred.
    """

    template_fields: Sequence[str] = ("request_id",)

    def __init__(self, *, request_id: str, revision: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.request_id, self.revision = request_id, revision

    def execute(self, context: AirflowContext) -> Any:
        """Answer of the action; an error that ends the run is written down first."""
        from prodsys.hooks.context import build_context

        with final_errors_fail():
            ctx = build_context(who=WHO)
            with record_failures(ctx, context, self.request_id, self.task_id), outages_waited(self, ctx, context):
                return self.act(ctx, context)


def triggered_by(context: AirflowContext) -> str | None:
    """Who started the run of an airflow task, as Airflow tells; None when it does not."""
    return getattr(context["dag_run"], "triggering_user_name", None)


class DrivingOperator(RequestOperator):
    """Base of operators behind the gate. Each asks again whether the run drives: a person may have cleared it alone."""

    ends_delivered: ClassVar[bool] = False  # True: has something to say about a request that is complete

    def act(self, ctx: Context, context: AirflowContext) -> Any:
        """Drive on, or be skipped with the reason."""
        from prodsys.actions.runs.run_ownership import enter

        run = context["dag_run"]
        answer = enter(ctx, self.request_id, self.revision, run.dag_id, run.run_id, triggered_by(context))
        if not (answer.drive or (answer.delivered and self.ends_delivered)):
            raise AirflowSkipException(answer.message)
        return self.drive(ctx, context)

    def drive(self, ctx: Context, context: AirflowContext) -> Any:
        """Call the action."""
        raise NotImplementedError


class StepOperator(DrivingOperator):
    """Base of operators that do one thing for one step of a request, of one bunch where it has bunches."""

    template_fields = ("request_id", "step")

    def __init__(self, *, step: str, bunch: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.step, self.bunch = step, bunch
