"""How our errors become Airflow's: what another try cannot mend fails at once, and the ledger is told first."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowFailException

from prodsys.errors import ProductionError, ServiceUnavailable

if TYPE_CHECKING:
    from airflow.sdk import Context as AirflowContext

    from prodsys.actions.context import Context

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


@contextmanager
def failures_told(ctx: Context, context: AirflowContext, request_id: str, task_id: str) -> Iterator[None]:
    """Write an error that ends the run into the ledger, in its own words, before Airflow hears of it.

    That is done here and not by Airflow's callbacks: one that ran in the DAG processor makes it parse the file for ever
    (apache/airflow issue 73432, seen on 3.3.2). What dies without a word is found by the reconciler.
    """
    try:
        yield
    except ProductionError as error:
        if not isinstance(error, ServiceUnavailable) or is_last_try(context):
            _tell(ctx, context, request_id, f"{task_id}: {error}")
        raise


def is_last_try(context: AirflowContext) -> bool:
    """Whether Airflow will not try again after this one."""
    instance: Any = context["ti"]
    return instance.try_number > instance.max_tries


def _tell(ctx: Context, context: AirflowContext, request_id: str, words: str) -> None:
    from prodsys.actions.driving import note_failure

    run, bunch = context["dag_run"], getattr(context.get("task"), "bunch", None)
    try:
        note_failure(ctx, request_id, run.dag_id, run.run_id, words, bunch)
    except ProductionError as silence:
        log.error("the ledger does not know yet that run %s failed: %s", run.run_id, silence)
