"""The doors under dags/."""

from __future__ import annotations

import ast
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from airflow.dag_processing.dagbag import DagBag
from airflow.sdk.exceptions import ParamValidationError

from prodsys.building.standing import often
from prodsys.errors import SpecInvalid
from prodsys.model.access import QUESTION_ACCESS, access_control
from tests.airflow_environment import REPOSITORY

DAGS = REPOSITORY / "dags"
FILES = sorted(DAGS.glob("*.py"))
LINES, STATEMENTS = 60, 12  # budgets of a door

Parse = Callable[[Path], DagBag]


def test_the_doors_are_those_of_the_design_and_the_two_about_approval(parse: Parse) -> None:
    bag = parse(DAGS)
    assert bag.import_errors == {}
    standing = {"intake", "dispatch", "reconcile", "compare_catalogues", "report", "approval", "approve_plan"}
    assert set(bag.dags) == standing


def test_every_dag_says_whose_and_what_it_is(parse: Parse) -> None:
    for dag in parse(DAGS).dags.values():
        assert dag.tags, dag.dag_id
        assert dag.owner == "prodsys", dag.dag_id
        assert len(dag.doc_md or "") > 100, dag.dag_id
        assert dag.description, dag.dag_id


def test_no_door_runs_beside_itself_or_catches_up(parse: Parse) -> None:
    for dag in parse(DAGS).dags.values():
        at_once = 1000 if dag.dag_id == "approve_plan" else 1  # each of its runs waits for a person
        assert (dag.max_active_runs, dag.catchup, dag.dagrun_timeout) == (at_once, False, None), dag.dag_id
        assert all(task.execution_timeout for task in dag.tasks), dag.dag_id


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_door_is_thin(path: Path) -> None:
    text = path.read_text()
    assert len(text.splitlines()) <= LINES
    assert sum(isinstance(node, ast.stmt) for node in ast.walk(ast.parse(text))) <= STATEMENTS


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_door_imports_only_airflow_building_and_operators(path: Path) -> None:
    imported = {
        node.module if isinstance(node, ast.ImportFrom) else name.name
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in node.names
    }
    allowed = ("airflow.", "prodsys.building.", "prodsys.operators.")
    assert all(name and name.startswith(allowed) for name in imported)


def test_a_question_about_a_plan_is_a_run_that_somebody_starts_and_that_needs_a_request(parse: Parse) -> None:
    dag = parse(DAGS).dags["approve_plan"]
    assert dag.timetable.can_be_scheduled is False
    with pytest.raises(ParamValidationError, match="request_id"):
        dag.params.validate()


def test_only_questions_about_plans_are_open_to_the_manager(parse: Parse) -> None:
    """Rights of single DAGs: who has none there can pause neither `dispatch` nor `reconcile`."""
    dags = parse(DAGS).dags
    assert dags["approve_plan"].access_control == access_control(QUESTION_ACCESS)
    assert {name for name, dag in dags.items() if dag.access_control} == {"approve_plan"}


@pytest.mark.parametrize("dag_id", ["intake", "dispatch", "reconcile", "approval"])
def test_what_people_wait_for_is_looked_at_every_minute(parse: Parse, dag_id: str) -> None:
    """A launch over REST waits for no run: who launches before Airflow shows the DAG waits for the dispatcher."""
    assert parse(DAGS).dags[dag_id].schedule == timedelta(seconds=60)


@pytest.mark.parametrize(("written", "seconds"), [("5", 5), ("10", 10), ("600", 600)])
def test_how_often_is_a_setting(written: str, seconds: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRODSYS_STANDING_INTERVAL_S", written)
    assert often() == timedelta(seconds=seconds)


@pytest.mark.parametrize("written", ["4", "601", "1.5", "-60", "a minute", "٦٠"])
def test_a_setting_that_is_no_sensible_time_is_named(written: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRODSYS_STANDING_INTERVAL_S", written)
    with pytest.raises(SpecInvalid, match=r"PRODSYS_STANDING_INTERVAL_S.*write whole seconds from 5 to 600"):
        often()
