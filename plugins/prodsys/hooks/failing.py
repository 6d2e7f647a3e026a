"""How errors become Airflow's: what another try cannot mend fails at once, and the ledger is told first.

What is only unavailable is waited for: see `hooks/outages.py`.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import (
    AirflowFailException,
    AirflowRescheduleException,
    AirflowSkipException,
    DownstreamTasksSkipped,
)
from sqlalchemy.exc import DBAPIError, InterfaceError, InternalError, OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as NoConnectionFree

from prodsys.errors import ProductionError, ServiceUnavailable
from prodsys.hooks.run_notes import note_run
from prodsys.model.plain_text import plain_text

if TYPE_CHECKING:
    from airflow.sdk import Context as AirflowContext

    from prodsys.actions.core.context import Context

log = logging.getLogger(__name__)
WORDS_LENGTH = 500  # of an error that is none of ours
ON_PURPOSE = (AirflowFailException, AirflowRescheduleException, AirflowSkipException, DownstreamTasksSkipped)
OF_PROGRAMS = (  # the same call would end in the same error: a fault of Prodsys, or of what is stored
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    NameError,
    NotImplementedError,
    TypeError,
    ValueError,
    SQLAlchemyError,
)
OF_THE_DATABASE = (OperationalError, InterfaceError, InternalError, NoConnectionFree)  # another try may not meet these


class TryAgain(Exception):
    """This try of an airflow task cannot go on, the next one can; nothing is wrong."""


def is_final(error: Exception) -> bool:
    """Whether another try would end in the same error."""
    if isinstance(error, ProductionError):
        return not isinstance(error, ServiceUnavailable)
    return isinstance(error, OF_PROGRAMS) and not isinstance(error, OF_THE_DATABASE)


def describe_error(error: Exception) -> str:
    """An error for people: ours in its own words, any other with its type, in one line."""
    if isinstance(error, ProductionError | TryAgain):
        return str(error)
    cause = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
    words = f"{type(error).__name__}: {plain_text(str(cause), WORDS_LENGTH)}".rstrip(": ")
    return f"{words} (a fault of Prodsys: the log of this airflow task shows where)" if is_final(error) else words


@contextmanager
def final_errors_fail() -> Iterator[None]:
    """Fail an airflow task at once when another try cannot help; anything else is tried again."""
    try:
        yield
    except ON_PURPOSE:
        raise
    except Exception as error:
        if not is_final(error):
            raise
        raise AirflowFailException(describe_error(error)) from error


@contextmanager
def record_failures(ctx: Context, context: AirflowContext, request_id: str, task_id: str) -> Iterator[None]:
    """Write an error that ends the run into the ledger and on the run, before Airflow hears of it.

    That is done here and not by Airflow's callbacks: one that ran in the DAG processor makes it parse the file for ever
    (apache/airflow issue 73432, seen on 3.3.2). What dies without a word is found by the reconciler.
    """
    try:
        yield
    except ON_PURPOSE:
        raise
    except Exception as error:
        if is_final(error) or is_last_try(context):
            _tell(ctx, context, request_id, f"{task_id}: {describe_error(error)}")
        raise


def is_last_try(context: AirflowContext) -> bool:
    """Whether Airflow will not try again after this one."""
    instance: Any = context["ti"]
    return instance.try_number > instance.max_tries


def _tell(ctx: Context, context: AirflowContext, request_id: str, words: str) -> None:
    from prodsys.actions.runs.run_ownership import note_failure

    run, bunch = context["dag_run"], getattr(context.get("task"), "bunch", None)
    try:
        failures = note_failure(ctx, request_id, run.dag_id, run.run_id, words, bunch)
    except ProductionError as silence:
        log.error("the ledger does not know yet that run %s failed: %s", run.run_id, silence)
        failures = words
    if failures:
        note_run(ctx, context, failures)
