"""Notes on DAG runs, for people."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from prodsys.errors import ProductionError

if TYPE_CHECKING:
    from airflow.sdk import Context as AirflowContext

    from prodsys.actions.core.context import Context

log = logging.getLogger(__name__)


def note_run(ctx: Context, context: AirflowContext, note: str) -> None:
    """Write a note on the run; a note that cannot be written is only logged."""
    run = context["dag_run"]
    try:
        ctx.airflow.set_run_note(run.dag_id, run.run_id, note)
    except ProductionError as error:
        log.warning("the run has no note %r: %s", note, error)
