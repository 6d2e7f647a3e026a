"""Submit a step to PanDA, exactly once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from prodsys.hooks.links import PandaTaskLink
from prodsys.operators.base import StepOperator

if TYPE_CHECKING:
    from airflow.sdk import Context as AirflowContext

    from prodsys.actions.core.context import Context

POOL = "panda_submit"


class PandaSubmitOperator(StepOperator):
    """Submits the task of one step; tried again, cleared or run beside itself, it finds the task it submitted."""

    operator_extra_links = (PandaTaskLink(),)
    ui_color = "#cfe3f5"

    def __init__(self, *, pool: str = POOL, **kwargs: Any) -> None:
        super().__init__(pool=pool, **kwargs)
        self.jedi_task_id: int | None = None  # for the link

    def drive(self, ctx: Context, context: AirflowContext) -> int:  # noqa: ARG002
        """JEDI task id."""
        from prodsys.actions.submission.submitting import ensure_submitted

        ids = ensure_submitted(ctx, self.request_id, self.step, self.bunch)
        self.jedi_task_id = ids[-1]
        self.log.info("PanDA tasks %s run %s of %s", ", ".join(map(str, ids)), self.step, self.request_id)
        return self.jedi_task_id


class SimOperator(PandaSubmitOperator):
    """Submits the simulation of a request."""

    def __init__(self, *, step: str = "SIM", **kwargs: Any) -> None:
        super().__init__(step=step, **kwargs)


class RecoOperator(PandaSubmitOperator):
    """Submits the reconstruction of a request."""

    def __init__(self, *, step: str = "RECO", **kwargs: Any) -> None:
        super().__init__(step=step, **kwargs)


OPERATORS: dict[str, type[PandaSubmitOperator]] = {"SIM": SimOperator, "RECO": RecoOperator}
