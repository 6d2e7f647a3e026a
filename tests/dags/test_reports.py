"""The statements of the report run on a real ledger."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from airflow.dag_processing.dagbag import DagBag

from prodsys.ledger.migrate import migrate
from tests.airflow_environment import REPOSITORY
from tests.publishing import Ledger, read_catalogue

from prodsys.ledger.session import make_engine, make_session_factory  # isort: skip

REPORTS = REPOSITORY / "include" / "sql" / "reports"
FILES = sorted(REPORTS.glob("*.sql"))


@pytest.fixture
def ledger_url(
    fresh_database: Callable[..., str], template_database: Callable[[str, Callable[[str], None]], str]
) -> str:
    return fresh_database(template=template_database("ledger_template", migrate))


def test_every_statement_is_run_by_the_report(parse: Callable[[Path], DagBag]) -> None:
    tasks = parse(REPOSITORY / "dags").dags["report"].tasks
    assert {task.task_id: task.sql for task in tasks} == {path.stem: path.read_text() for path in FILES}
    assert {task.conn_id for task in tasks} == {"prodsys_ledger"}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_file_is_one_statement_with_parameters_and_schemas(path: Path) -> None:
    statement = re.sub(r"--.*", "", path.read_text())
    assert ";" not in statement
    assert re.search(r"%\(\w+\)s", statement)
    assert all(name.startswith(("prodsys.", "lateral")) for name in _tables(statement)), _tables(statement)


def _tables(statement: str) -> list[str]:
    called = re.findall(r"\b(?:from|join)\s+([a-z_.(]+)", re.sub(r"extract\(.*?\)", "", statement))
    return [name for name in called if not name.startswith("(")]


@pytest.mark.parametrize("name", [path.stem for path in FILES])
def test_the_operator_runs_it_on_the_ledger(name: str, ledger_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_PRODSYS_LEDGER", ledger_url.replace("postgresql+psycopg", "postgres"))
    Ledger(ledger_url, make_session_factory(ledger_url), read_catalogue()).publish("PROD2025-016")
    make_engine(ledger_url).dispose()
    folder = REPOSITORY / "dags"
    task = DagBag(dag_folder=str(folder), bundle_path=folder, bundle_name="dags").dags["report"].get_task(name)
    task.render_template_fields({"params": {"campaign": "SPD%", "older_than_h": 24}})
    rows = [tuple(row)[:4] for row in task.execute({})]
    assert rows == ([("approved", 1, 60, 0)] if name == "requests_by_state" else [])
