"""Errors that a senseless map causes late: its task breaks, the tasks beside it never notice."""

from __future__ import annotations

import logging

import psycopg
from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError

from sandbox.panda.store import set_status

log = logging.getLogger(__name__)

SUSPECTS = (ValueError, TypeError, KeyError, AttributeError, OverflowError, DBAPIError)
"""What may be the fault of a map; of the database's errors only those about values are."""


def break_task(engine: Engine, jedi_task_id: int, what: str, error: Exception) -> None:
    """Put a task into ``tobroken`` because of its map.

    Parameters
    ----------
    what : str
        What JEDI could not do, for the errorDialog: ``failed to generate jobs``.

    Raises
    ------
    DBAPIError
        The error itself, when it is the database's fault.
    """
    if isinstance(error, DBAPIError) and not _is_about_values(error):
        raise error
    cause = error.orig if isinstance(error, DBAPIError) else error
    log.warning("task %s: %s: %s: %s", jedi_task_id, what, type(error).__name__, " ".join(str(error).split())[:300])
    with engine.begin() as connection:
        set_status(connection, jedi_task_id, "tobroken", f"{what}: {' '.join(str(cause).split())[:300]}")


def _is_about_values(error: DBAPIError) -> bool:
    """Whether a value does not fit: out of range, missing, or of a kind the driver cannot even send."""
    cause = error.orig
    unsendable = isinstance(cause, psycopg.ProgrammingError) and cause.sqlstate is None
    return unsendable or isinstance(cause, (psycopg.DataError, psycopg.IntegrityError))
