"""Make sure that the data of a step are in Rucio, and tell who waits for them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from airflow.sdk import Asset

from prodsys.operators.base import StepOperator

if TYPE_CHECKING:
    from airflow.sdk import Context as AirflowContext

    from prodsys.actions.context import Context
    from prodsys.actions.data import DataAnswer

POOL = "rucio_register"


class StepDataOperator(StepOperator):
    """Verifies or registers the datasets of a step; each is an Airflow asset, updated with its DID and events."""

    ui_color = "#d3ead2"

    def __init__(self, *, pool: str = POOL, **kwargs: Any) -> None:
        super().__init__(pool=pool, **kwargs)

    def act(self, ctx: Context, context: AirflowContext) -> list[str]:
        """DIDs of the step's datasets."""
        from prodsys.actions.data import ensure_step_data

        answers = ensure_step_data(ctx, self.request_id, self.step)
        for answer in answers:
            self.log.info("%s: %s files, %s events", answer.did, answer.files, answer.events)
        self._announce(context, {answer.did: answer for answer in answers})
        return [answer.did for answer in answers]

    def _announce(self, context: AirflowContext, held: dict[str, DataAnswer]) -> None:
        """Hand DID, files and events over with the asset events of this airflow task."""
        events = context["outlet_events"]
        for asset in _assets(self.outlets):
            answer = held.get(asset.name)
            files, number = (answer.files, answer.events) if answer else (0, 0)
            events[asset].extra = {"did": asset.name, "files": files, "events": number}


def _assets(outlets: Iterable[Any]) -> Iterable[Asset]:
    return (outlet for outlet in outlets if isinstance(outlet, Asset))
