"""How the operators of a request are tried again: every number stands here."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

RETRIES = 10  # for workers that die and hosts in trouble; a service that is away is waited for (hooks/outages.py)
FIRST_DELAY = timedelta(seconds=3)
LONGEST_DELAY = timedelta(minutes=10)
# Longer than any worker takes to wind up: a task back in the queue before Airflow has seen its last process end is
# taken for killed, and the scheduler dies of it (apache/airflow issue 71923; seen here at 3 s on a busy machine).
FILES_DELAY = timedelta(seconds=60)  # until a task whose files could not be had starts again
DOOR_LIMIT = timedelta(minutes=10)  # of one run of intake, dispatch, reconcile, report


def request_retries() -> dict[str, Any]:
    """Arguments of every airflow task of a request."""
    return {
        "retries": RETRIES,
        "retry_delay": FIRST_DELAY,
        "retry_exponential_backoff": 2.0,
        "max_retry_delay": LONGEST_DELAY,
    }


def door_retries() -> dict[str, Any]:
    """Arguments of airflow tasks that come again by themselves."""
    return {"retries": 1, "retry_delay": FIRST_DELAY, "execution_timeout": DOOR_LIMIT}
