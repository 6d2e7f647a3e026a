"""End of a request: containers and metadata, replication rules, the certificate."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowFailException

from prodsys.errors import StepReopened
from prodsys.hooks.run_notes import note_run
from prodsys.operators.base import DrivingOperator
from prodsys.operators.step_data import POOL

if TYPE_CHECKING:
    from airflow.sdk import Context as AirflowContext

    from prodsys.actions.core.context import Context


class ClosingOperator(DrivingOperator):
    """Base of operators that find out when a task of a settled step works again; this run is past that step."""

    def drive(self, ctx: Context, context: AirflowContext) -> Any:
        """Close; or have another run settle that step, and end."""
        from prodsys.actions.closing.reopening import reopen_running

        try:
            return self.close(ctx, context)
        except StepReopened as moved:
            answer = reopen_running(ctx, self.request_id, str(moved))
            raise AirflowFailException(f"{moved}; {answer.message}") from moved

    def close(self, ctx: Context, context: AirflowContext) -> Any:
        """Call the action."""
        raise NotImplementedError


class CollectOperator(ClosingOperator):
    """Puts the datasets into their containers, with metadata, closes them and reads back."""

    ui_color = "#d3ead2"

    def __init__(self, *, pool: str = POOL, **kwargs: Any) -> None:
        super().__init__(pool=pool, **kwargs)

    def close(self, ctx: Context, context: AirflowContext) -> list[str]:  # noqa: ARG002
        """DIDs of the containers."""
        from prodsys.actions.closing.collection import ensure_collected

        containers = ensure_collected(ctx, self.request_id)
        self.log.info("containers of %s: %s", self.request_id, ", ".join(containers))
        return list(containers)


class ReplicateOperator(DrivingOperator):
    """Asks Rucio for the copies that the partition's policy wants."""

    ui_color = "#d3ead2"

    def __init__(self, *, pool: str = POOL, **kwargs: Any) -> None:
        super().__init__(pool=pool, **kwargs)

    def drive(self, ctx: Context, context: AirflowContext) -> list[str]:  # noqa: ARG002
        """Ids of the rules."""
        from prodsys.actions.closing.collection import ensure_rules

        rules = ensure_rules(ctx, self.request_id)
        self.log.info("rules of %s: %s", self.request_id, ", ".join(rules))
        return list(rules)


class CertifyOperator(ClosingOperator):
    """Closes the request with its certificate and hand-over lists."""

    ui_color = "#f4e8c1"
    ends_delivered = True  # a try that died after the last word finds the certificate

    def close(self, ctx: Context, context: AirflowContext) -> str:
        """Path of the certificate."""
        from prodsys.actions.closing.collection import certify
        from prodsys.actions.runs.run_ownership import start_closing

        run = context["dag_run"]
        start_closing(ctx, self.request_id)
        answer = certify(ctx, self.request_id, run.dag_id, run.run_id)
        self.log.info(answer.message)
        note_run(ctx, context, answer.message)
        return str(answer.path)
