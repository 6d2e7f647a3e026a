"""Who may touch which DAG: the generated page is up to date, and the DAGs carry what it tells."""

from __future__ import annotations

import pytest

from tests import airflow_environment  # noqa: F401 - Airflow for tests

from sandbox.stack.permissions_page import (  # isort: skip
    ACCESS,
    DEEDS,
    PAGE,
    QUESTION,
    REQUEST,
    SERVICE,
    all_roles,
    may,
    page,
)

MANAGER = "ProductionManager"
ALLOWED = {
    REQUEST: {"see it, its runs and logs", "pause and resume it", "trigger or backfill it", "answer its questions"},
    QUESTION: {"see it, its runs and logs", "pause and resume it", "answer its questions"},
    SERVICE: {"see it, its runs and logs"},
}


def test_the_page_is_the_one_that_the_code_gives() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run make docs"


@pytest.mark.parametrize("dags", list(ALLOWED))
def test_the_manager_may_do_this_and_nothing_else(dags: str) -> None:
    rights = all_roles()[MANAGER]
    assert {deed.words for deed in DEEDS if may(MANAGER, rights, deed, ACCESS[dags])} == ALLOWED[dags]


@pytest.mark.parametrize("role", ["Viewer", "Submitter"])
def test_who_looks_only_looks(role: str) -> None:
    rights = all_roles()[role]
    done = {deed.words for access in ACCESS.values() for deed in DEEDS if may(role, rights, deed, access)}
    assert done == {"see it, its runs and logs"}


def test_the_service_account_marks_no_task_and_deletes_nothing() -> None:
    rights = all_roles()["Orchestrator"]
    refused = {deed.words for deed in DEEDS if not may("Orchestrator", rights, deed, {})}
    assert refused == {"mark or clear airflow tasks", "delete it"}
