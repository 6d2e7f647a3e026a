"""How our errors become Airflow's: what another try cannot mend fails at once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from airflow.sdk.exceptions import AirflowFailException

from prodsys.errors import ProductionError, ServiceUnavailable


@contextmanager
def final_errors_fail() -> Iterator[None]:
    """Fail an airflow task at once when another try cannot help; what is only unavailable is tried again."""
    try:
        yield
    except ServiceUnavailable:
        raise
    except ProductionError as error:
        raise AirflowFailException(str(error)) from error
