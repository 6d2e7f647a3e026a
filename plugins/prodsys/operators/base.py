"""What all operators of a request have in common: hands to act with, and one way to tell errors apart."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowFailException

from prodsys.errors import AirflowRefused, AirflowUnavailable, ProductionError, ServiceUnavailable

if TYPE_CHECKING:
    from airflow.sdk import Context as AirflowContext

    from prodsys.actions.context import Context

WHO = "airflow"  # in audit lines and the journal; the line names the run
log = logging.getLogger(__name__)


@contextmanager
def final_errors_fail() -> Iterator[None]:
    """Fail an airflow task at once when another try cannot help; what is only unavailable is tried again."""
    try:
        yield
    except ServiceUnavailable:
        raise
    except ProductionError as error:
        raise AirflowFailException(str(error)) from error


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


class RequestOperator(ServiceOperator):
    """Base of operators that do one thing for one request."""

    template_fields: Sequence[str] = ("request_id",)

    def __init__(self, *, request_id: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.request_id = request_id


class StepOperator(RequestOperator):
    """Base of operators that do one thing for one step of a request."""

    template_fields = ("request_id", "step")

    def __init__(self, *, step: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.step = step


def note_run(ctx: Context, context: AirflowContext, note: str) -> None:
    """Write a note on the run, for people; a note that cannot be written is only logged."""
    run = context["dag_run"]
    try:
        ctx.airflow.set_run_note(run.dag_id, run.run_id, note)
    except (AirflowUnavailable, AirflowRefused) as error:
        log.warning("the run has no note %r: %s", note, error)
