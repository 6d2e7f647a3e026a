"""What the standing DAGs under ``dags/`` have in common."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from prodsys.building.retries import door_retries
from prodsys.model.access import QUESTION_ACCESS, access_control
from prodsys.settings import REPOSITORY

LEDGER = "prodsys_ledger"  # the Airflow connection to the ledger
BEGINNING = datetime(2025, 1, 1, tzinfo=UTC)  # before any run; nothing is caught up
QUESTION_RIGHTS = access_control(QUESTION_ACCESS)  # of the manager, who answers
QUESTIONS = 1000  # runs that wait for people at the same time; they take no worker
REPORTS = str(REPOSITORY / "include" / "sql" / "reports")


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
