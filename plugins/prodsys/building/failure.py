"""What happens when a run ends in failure: the ledger is told."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from prodsys.errors import ProductionError

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class NoteFailure:
    """Callback of a request's airflow tasks and of its DAG; the first call tells, the others change nothing.

    The airflow task that fails calls it in its own process and knows the error. Where that process died, Airflow calls
    it in the DAG processor, with less to say; the reconciler covers for both.
    """

    request_id: str

    def __call__(self, context: Mapping[str, Any]) -> None:
        """Tell the ledger that this run failed, and why."""
        from prodsys.actions.driving import note_failure
        from prodsys.hooks.context import build_context

        dag_id, run_id = context["dag"].dag_id, context["run_id"]
        try:
            note_failure(build_context(who="airflow"), self.request_id, dag_id, run_id, _reason(context))
        except ProductionError as error:
            log.error("the ledger does not know yet that run %s of %s failed: %s", run_id, dag_id, error)


def _reason(context: Mapping[str, Any]) -> str:
    """``sim.settle: DEMO2025-011 SIM: failed: ...``: the airflow task and the error's own words, as far as known."""
    task = context.get("task")
    words = context.get("exception") or context.get("reason") or "see the log"
    return f"{task.task_id if task is not None else 'run'}: {words}"
