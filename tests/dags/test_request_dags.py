"""DAGs of published requests, read from a folder as the bundle writes it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from airflow.dag_processing.dagbag import DagBag
from airflow.sdk import DAG, Asset
from airflow.serialization.serialized_objects import LazyDeserializedDAG
from airflow.utils.file import might_contain_dag

from prodsys.building.layouts import LAYOUTS
from prodsys.model.access import REQUEST_ACCESS, access_control
from tests.airflow_environment import REPOSITORY
from tests.dags.conftest import REQUESTS
from tests.publishing import IN_BUNCHES, IN_BUNCHES_BEFORE, make_plan, published_plan, read_catalogue

GOLDEN = REPOSITORY / "tests" / "data" / "golden"
Parse = Callable[[Path], DagBag]


def shape(dag: DAG) -> dict[str, Any]:
    """What must never change under one name of a layout."""
    return {
        "schedule": dag.timetable.__class__.__name__,
        "catchup": dag.catchup,
        "max_active_runs": dag.max_active_runs,
        "params": {name: dag.params.get_param(name).schema for name in dag.params},
        "tasks": {
            task.task_id: {
                "operator": type(task).__name__,
                "upstream": sorted(task.upstream_task_ids),
                "pool": task.pool,
                "trigger_rule": str(task.trigger_rule),
                "retries": task.retries,
                "outlets": sorted(asset.name for asset in task.outlets if isinstance(asset, Asset)),
            }
            for task in dag.tasks
        },
    }


def test_all_requests_become_dags_without_a_query(parse: Parse, published: Path) -> None:
    bag = parse(published)
    assert bag.import_errors == {}
    assert set(bag.dags) == {f"prod__{request_id}" for request_id in REQUESTS}


def test_every_dag_says_whose_and_what_it_is(parse: Parse, published: Path) -> None:
    for dag in parse(published).dags.values():
        request_id = dag.dag_id.removeprefix("prod__")
        plan = published_plan(read_catalogue(), request_id)
        assert dag.owner == "mgr"
        assert {"SPD MC 2025", "S2", "pp", plan.tag, "PROD", plan.digest()} == set(dag.tags)
        assert all(step.task_name in dag.doc_md for step in plan.steps)
        assert dag.dagrun_timeout is None


def test_no_callback_runs_in_the_dag_processor(parse: Parse, published: Path) -> None:
    """One that did would make it parse the file for ever: apache/airflow issue 73432."""
    for dag in parse(published).dags.values():
        assert [dag.has_on_failure_callback, dag.has_on_success_callback] == [False, False]
        assert not any(task.has_on_failure_callback or task.has_on_retry_callback for task in dag.tasks)


LAID_OUT = {"linear-1": "PROD2025-016", "bunches-1": IN_BUNCHES_BEFORE, "bunches-2": IN_BUNCHES}


@pytest.mark.parametrize("layout", sorted(LAYOUTS))
def test_a_layout_keeps_its_shape(layout: str, parse: Parse, published: Path) -> None:
    dag = parse(published).dags[f"prod__{LAID_OUT[layout]}"]
    golden = GOLDEN / f"layout_{layout.replace('-', '_')}.json"
    assert shape(dag) == json.loads(golden.read_text()), "runs in flight have the old shape: make a new layout"


def test_a_new_plan_in_bunches_has_a_layout_in_which_none_waits_for_the_success_of_another(
    parse: Parse, published: Path
) -> None:
    tasks = shape(parse(published).dags[f"prod__{IN_BUNCHES}"])["tasks"]
    third = tasks["b003.sim.submit"]  # two lanes: it follows the first
    assert (third["trigger_rule"], third["upstream"]) == (
        "TriggerRule.ALL_DONE_MIN_ONE_SUCCESS",
        ["b001.reco.data", "gate"],
    )
    assert tasks["close.collect"]["upstream"] == [f"b00{number}.reco.data" for number in (1, 2, 3)]
    assert (
        tasks["close.collect"]["trigger_rule"] == tasks["b002.sim.submit"]["trigger_rule"] == "TriggerRule.ALL_SUCCESS"
    )


def test_the_serialised_dag_is_the_same_in_every_parse(parse: Parse, published: Path) -> None:
    first, second = (parse(published).dags for _ in range(2))
    for dag_id in first:
        assert LazyDeserializedDAG.from_dag(first[dag_id]).hash == LazyDeserializedDAG.from_dag(second[dag_id]).hash


def test_the_serialised_dag_is_the_same_in_every_process(published: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from tests import airflow_environment\n"
        "from airflow.dag_processing.dagbag import DagBag\n"
        "from airflow.serialization.serialized_objects import LazyDeserializedDAG\n"
        "folder = Path(sys.argv[1]); bag = DagBag(dag_folder=str(folder), bundle_path=folder, bundle_name='tests')\n"
        "print([LazyDeserializedDAG.from_dag(bag.dags[name]).hash for name in sorted(bag.dags)])\n"
        "print(sorted(name for name in sys.modules if name.partition('.')[0] in {'rucio', 'pandaclient', 'uproot'}))\n"
    )
    outputs = [
        subprocess.run(
            [sys.executable, "-c", program, str(published)],
            env=os.environ | {"PYTHONHASHSEED": seed, "PYTHONPATH": f"{REPOSITORY}:{REPOSITORY / 'plugins'}"},
            check=True,
            capture_output=True,
            text=True,
            timeout=120,
        ).stdout.splitlines()[-2:]
        for seed in ("1", "2")
    ]
    assert outputs[0] == outputs[1]
    assert outputs[0][1] == "[]", "parsing imports a client of the grid"


def test_airflow_does_not_skip_a_stub(published: Path) -> None:
    stubs = list(published.glob("*.py"))
    assert stubs
    assert all(might_contain_dag(str(stub), safe_mode=True) for stub in stubs)
    assert all(len(stub.read_text().splitlines()) <= 60 for stub in stubs)


def _edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.unlink()  # it is a hard link into the objects
    path.write_text(text.replace(old, new, 1))


@pytest.mark.parametrize(
    ("harm", "words"),
    [
        (lambda path: _edit(path, '"minbias', '"maxbias'), "was approved"),
        (lambda path: path.write_text("{"), "cannot be read"),
        (lambda path: path.unlink(), "No such file"),
    ],
    ids=["edited", "cut short", "gone"],
)
def test_a_harmed_plan_is_refused_and_harms_no_other_dag(
    harm: Callable[[Path], None], words: str, parse: Parse, published: Path
) -> None:
    [plan] = published.glob("prod__PROD2025-016.*.json")
    harm(plan)
    bag = parse(published)
    [(place, error)] = bag.import_errors.items()
    assert "prod__PROD2025-016" in place
    assert words in error
    assert "remove" in error  # the remedy
    assert len(bag.dags) == len(REQUESTS) - 1


def test_an_unknown_layout_names_the_known_ones(parse: Parse, published: Path) -> None:
    from prodsys.building.published import PublishedSpec, render_plan, render_stub

    plan = make_plan(read_catalogue(), "PROD2025-777").model_copy(update={"layout": "round-1"})
    spec = PublishedSpec.of(plan, plan.digest(), "mgr")
    stub = published / f"{spec.dag_id}.py"
    stub.write_text(render_stub(spec.request_id, spec.digest, "mgr"))
    name = f"{spec.dag_id}.{spec.digest.removeprefix('sha256:')[:12]}.json"
    (published / name).write_text(render_plan(plan.model_dump(mode="json")))
    [error] = parse(published).import_errors.values()
    assert "linear-1" in error


@pytest.mark.parametrize("owner", ["", "O'Brien", 'a"b', "{digest}", "Éva\nx", "\\"])
def test_any_owner_gives_a_stub_that_parses(owner: str, parse: Parse, tmp_path: Path) -> None:
    from prodsys.building.published import plan_name, render_plan, render_stub, stub_name

    plan = make_plan(read_catalogue(), "PROD2025-016")
    (tmp_path / plan_name(plan.request_id, plan.digest())).write_text(render_plan(plan.model_dump(mode="json")))
    (tmp_path / stub_name(plan.request_id)).write_text(render_stub(plan.request_id, plan.digest(), owner))
    bag = parse(tmp_path)
    assert bag.import_errors == {}
    assert bag.dags["prod__PROD2025-016"].owner == (owner or "prodsys")


def test_the_manager_has_rights_on_every_request(parse: Parse, published: Path) -> None:
    dags = parse(published).dags
    assert dags
    assert all(dag.access_control == access_control(REQUEST_ACCESS) for dag in dags.values())
