"""Who calls, as Airflow knows him, and what of Prodsys Airflow lets him see."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum

from starlette.requests import Request


@dataclass(frozen=True)
class Person:
    """An authenticated user: his name, his roles at Airflow, and Airflow's own object for him."""

    name: str
    airflow_roles: frozenset[str] = frozenset()
    subject: object = None


class Access(StrEnum):
    """What Airflow is asked about a person; what he may do to requests is asked of policy.yaml, by his role."""

    LOOK = "look at productions"  # at Airflow: see DAGs
    AUDIT = "read the audit log"  # at Airflow: see its audit log


CurrentUser = Callable[[Request], Awaitable[Person]]  # raises NotAuthenticated
May = Callable[[Person, Access], bool]  # may block: it is asked in a thread
