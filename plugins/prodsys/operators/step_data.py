"""Make sure that the data of a step are in Rucio, and tell who waits for them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from airflow.sdk import Asset

from prodsys.errors import SeedsLost
from prodsys.operators.settle import SettleOperator

if TYPE_CHECKING:
    from airflow.sdk import Context as AirflowContext

    from prodsys.actions.core.context import Context
    from prodsys.actions.settlement.registration import DataAnswer
    from prodsys.actions.settlement.settling import SettleAnswer

POOL = "rucio_register"


class StepDataOperator(SettleOperator):
    """Verifies or registers the datasets of a step; each is an Airflow asset, updated with its DID and events.

    Where files are not to be had it settles the step again, and recovers or asks as `settle` does.
    """

    ui_color = "#d3ead2"

    def __init__(self, *, pool: str = POOL, **kwargs: Any) -> None:
        super().__init__(pool=pool, **kwargs)

    def drive(self, ctx: Context, context: AirflowContext) -> Any:
        """DIDs of the step's datasets."""
        try:
            return self._register(ctx, context)
        except SeedsLost as lost:
            self.log.warning("%s", lost)
            return self.settle(ctx, context)

    def settled(self, ctx: Context, context: AirflowContext, answer: SettleAnswer) -> list[str]:  # noqa: ARG002
        """DIDs of the step's datasets, settled once more."""
        return self._register(ctx, context)

    def _register(self, ctx: Context, context: AirflowContext) -> list[str]:
        from prodsys.actions.settlement.registration import ensure_step_data

        answers = ensure_step_data(ctx, self.request_id, self.step, self.bunch)
        for answer in answers:
            self.log.info("%s: %s files, %s events", answer.did, answer.files, answer.events)
        announce(self.outlets, answers, context["outlet_events"])
        return [answer.did for answer in answers]


def announce(outlets: Iterable[Any], answers: Iterable[DataAnswer], events: Any) -> None:
    """Hand DID, files and events of each dataset over with its asset event; one that stayed empty says so."""
    held = {answer.did: answer for answer in answers}
    for asset in (outlet for outlet in outlets if isinstance(outlet, Asset)):
        answer = held.get(asset.name)
        files, number = (answer.files, answer.events) if answer else (0, 0)
        events[asset].extra = {"did": asset.name, "files": files, "events": number}
