"""What the standing DAGs under ``dags/`` have in common."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from prodsys.building.retries import door_retries
from prodsys.errors import SpecInvalid
from prodsys.model.access import QUESTION_ACCESS, access_control
from prodsys.settings import REPOSITORY, read_settings

LEDGER = "prodsys_ledger"  # the Airflow connection to the ledger
BEGINNING = datetime(2025, 1, 1, tzinfo=UTC)  # before any run; nothing is caught up
QUESTION_RIGHTS = access_control(QUESTION_ACCESS)  # of the manager, who answers
QUESTIONS = 1000  # runs that wait for people at the same time; they take no worker
REPORTS = str(REPOSITORY / "include" / "sql" / "reports")
SHORTEST_S, LONGEST_S = 5, 600  # between two runs of what people wait for


def often() -> timedelta:
    """Schedule of the standing DAGs that people wait for: a minute, or ``PRODSYS_STANDING_INTERVAL_S`` seconds.

    Raises
    ------
    SpecInvalid
        The setting is no whole number from 5 to 600.
    """
    written = read_settings().get("STANDING_INTERVAL_S", "60") or "60"
    if not (written.isascii() and written.isdigit() and SHORTEST_S <= int(written) <= LONGEST_S):
        remedy = f"write whole seconds from {SHORTEST_S} to {LONGEST_S}"
        raise SpecInvalid("PRODSYS_STANDING_INTERVAL_S", f"is {written[:20]!r}", remedy)
    return timedelta(seconds=int(written))


def door(description: str, docs: str, at_once: int = 1) -> dict[str, Any]:
    """Arguments of a standing DAG: one run at a time, on the state as it is, nothing caught up."""
    return {
        "description": description,
        "doc_md": f"### {description}\n{docs}",
        "tags": ["prodsys", "service"],
        "start_date": BEGINNING,
        "catchup": False,
        "max_active_runs": at_once,
        "is_paused_upon_creation": False,
        "default_args": {"owner": "prodsys", **door_retries()},
    }
