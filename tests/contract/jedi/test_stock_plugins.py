"""JEDI in small with PanDA's stock plug-ins, beside the recordings of a real one: names, statuses, words, GUIDs."""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import groupby
from typing import Any

import pytest
from sqlalchemy import select, update

from sandbox.panda import tables as t
from sandbox.panda.api.describe_job import describe_jobs
from sandbox.panda.api.describe_task import describe_datasets, describe_work
from sandbox.panda.jobs.catalogue import OwnTables
from sandbox.panda.jobs.stock_ddm import StockDdm
from tests.contract.jedi.conftest import World, queue, reco_map, sim_map
from tests.contract.panda import recordings

EVERYTHING = ["input", "pseudo_input", "output", "log", "tmpl_output", "tmpl_log"]
WITHOUT_TEMPLATES = EVERYTHING[:4]


@pytest.fixture
def world(world: World) -> World:
    """Return a JEDI with both stock plug-ins and one queue, which writes to the storage LOCAL."""
    world.sites = {"SPD_A": queue("SPD_A", slots=4)}
    world.rules = replace(world.rules, instantiate=True)
    world.catalogue = StockDdm(OwnTables({"LOCAL"}), "spd")  # type: ignore[assignment]
    return world


def _free(params: dict[str, Any], destination: str | None = "LOCAL") -> dict[str, Any]:
    """A map whose outputs have this destination."""
    for one in [*params["jobParameters"], params["log"]]:
        if one.get("param_type") in ("output", "log"):
            one.pop("destination", None)
            one |= {"destination": destination} if destination else {}
    return params


def _types(world: World, task_id: int) -> list[tuple[str, str]]:
    with world.engine.connect() as connection:
        d = t.dataset.c
        query = select(d.type, d.name).where(d.jedi_task_id == task_id).order_by(d.dataset_id)
        return [(row.type, row.name) for row in connection.execute(query)]


def _shown(world: World, task_id: int, types: list[str]) -> dict[str, int]:
    found = describe_datasets(world.engine, task_id, types, False)
    return {one["dataset"]["name"]: len(one["files"]) for one in found}


def _described(world: World, task_id: int) -> dict[str, Any]:
    """The first job of a task, as it is shown."""
    with world.engine.connect() as connection:
        [job] = describe_jobs(connection, [world.jobs(task_id)[0]["panda_id"]])
    assert job is not None
    return job


def _recorded(scenario: str, task_id: int, call: str, last: bool = True) -> Any:
    found = [
        one["response_body"]["data"]
        for one in recordings.calls(scenario)
        if one["path"].endswith(call) and one["query"].get("task_id") == [str(task_id)] and one["response_body"]["data"]
    ]
    return found[-1 if last else 0]


# --- the refiner ------------------------------------------------------------------------------------------------------
def test_outputs_are_templates_first_and_instances_with_the_first_jobs(world: World) -> None:
    task_id = world.submit(_free(sim_map(seeds=3)))
    world.refine()
    kinds = [kind for kind, _ in _types(world, task_id)]
    assert kinds == ["pseudo_input", "tmpl_output", "tmpl_output", "tmpl_log"]
    assert len(_shown(world, task_id, WITHOUT_TEMPLATES)) == 1, "as recorded at defined: pseudo_dataset alone"
    world.make_jobs()
    planned = [name for _, name in _types(world, task_id)[1:4]]
    shown = _shown(world, task_id, EVERYTHING)
    instances = [name for name in shown if name not in ("pseudo_dataset", *planned)]
    assert [re.sub(r"\.\d+$", "", name) for name in instances] == [planned[2], *planned[:2]], "the log first"
    assert {shown[name] for name in planned} == {0}
    assert {shown[name] for name in instances} == {3}
    ids = {
        one["dataset"]["name"]: one["dataset"]["id"]
        for one in describe_datasets(world.engine, task_id, EVERYTHING, False)
    }
    assert all(name == f"{name.rpartition('.')[0]}.{ids[name]}" for name in instances)


def test_the_words_of_the_split_rule_and_the_names_of_files_are_the_recorded_ones(world: World) -> None:
    task_id = world.submit(_free(sim_map(seeds=3)))
    assert world.run(task_id) == "done"
    recorded = _recorded("stock_refiner", 251, "get_detailed_info")["splitRule"]
    assert recorded.endswith(",instantiateTmpl=1,instantiateTmplSite=1")
    assert world.info(task_id)["splitRule"].endswith(recorded.partition("pushStatusChanges")[2])
    [job, *_] = _recorded("stock_refiner", 251, "get_job_descriptions")
    ours = _described(world, task_id)
    with world.engine.connect() as connection:
        out = describe_work(connection, task_id)["outDS"].split(",")
    for told in (job, ours):
        files = {one["type"]: one for one in told["Files"] if one["type"] in ("output", "log")}
        assert len(files) == 2
        first = next(one for one in told["Files"] if one["type"] == "output")
        assert told["destinationDBlock"] == first["dataset"] == first["destinationDBlock"]
        for one in files.values():
            assert one["dataset"].endswith(f".{one['datasetID']}")
            assert one["lfn"].startswith(one["dataset"].rpartition(".")[0] + ".0"), "LFNs keep the plain name"
    assert len(out) == len(_recorded("stock_refiner", 251, "get_details")["outDS"].split(",")) == 6


def test_a_retry_fills_the_same_instances_with_the_next_numbers(world: World) -> None:
    task_id = world.submit(_free(sim_map(seeds=3, maxAttempt=2)))
    assert world.run(task_id, bad=lambda job: "--seed=501 " in job["parameters"]) == "finished"
    before = _types(world, task_id)
    world.command(task_id, "retry")
    assert world.run(task_id) == "done"
    assert _types(world, task_id) == before
    numbers = _shown(world, task_id, ["output"])
    assert set(numbers.values()) == {5}, "three seeds, a second and a third attempt, as recorded"


def test_every_queue_has_instances_of_its_own_and_serial_numbers_are_the_task_s(world: World) -> None:
    world.sites = {name: queue(name, slots=4) for name in ("SPD_A", "SPD_B")}
    task_id = world.submit(_free(sim_map(seeds=4), None))
    assert world.run(task_id) == "done"
    shown = _shown(world, task_id, ["output"])
    assert sorted(shown.values()) == [2, 2, 2, 2]
    with world.engine.connect() as connection:
        d = t.dataset.c
        places = connection.execute(
            select(d.destination).where(d.jedi_task_id == task_id, d.type == "output")
        ).scalars()
        assert sorted(places) == ["SPD_A", "SPD_A", "SPD_B", "SPD_B"], "JEDI's choice where the map says none"
        f = t.file.c
        query = select(f.lfn).where(f.jedi_task_id == task_id, f.lfn.like("%.S.%"))
        assert len(set(connection.execute(query).scalars())) == 4


def test_a_child_on_names_of_templates_is_broken_and_one_on_instances_is_done(world: World) -> None:
    sim, reco = (_free(one) for one in (sim_map(), reco_map()))
    parent = world.submit(sim)
    assert world.run(parent) == "done"
    instances = {re.sub(r"\.\d+$", "", name): name for name in _shown(world, parent, ["output"])}
    on_names = world.submit(reco, parent=parent)
    assert world.run(on_names) == "broken"
    asked = next(one["dataset"] for one in reco["jobParameters"] if one.get("param_type") == "input")
    recorded = _recorded("stock_refiner", 252, "get_detailed_info")["errorDialog"]
    assert world.info(on_names)["errorDialog"] == re.sub(r'"[^"]*"', f'"{asked}"', recorded)
    renamed = {**reco, "taskName": f"{reco['taskName']}.2"}
    for one in renamed["jobParameters"]:
        one["dataset"] = instances.get(one.get("dataset"), one.get("dataset"))
    assert world.run(world.submit(renamed, parent=parent)) == "done"


# --- the DDM plug-in --------------------------------------------------------------------------------------------------
def test_a_destination_that_is_no_storage_rests_pending_and_then_registered_with_its_reason(world: World) -> None:
    task_id = world.submit(_free(sim_map(site="SPD_A"), "SPD_A"))
    world.refine()
    recorded = _recorded("stock_ddm", 254, "get_detailed_info", last=False)
    info = world.info(task_id)
    assert (info["status"], info["oldStatus"]) == ("pending", recorded["oldStatus"])
    assert info["errorDialog"] == recorded["errorDialog"].replace("SPD_LOCAL", "SPD_A")
    given = {"workingGroup", "coreCount", "transPath", "container_name", "campaign", "processingType", "cloud", "site"}
    same = {key for key in recorded if key not in given and not isinstance(recorded[key], dict)}
    different = {key for key in same if recorded[key] != info[key] and recorded[key] is None}
    assert different == set(), "nothing is known that the real one does not know"
    assert all(info[key] is not None for key in given)
    assert _types(world, task_id) == []
    world.feed()
    assert (world.status(task_id), world.info(task_id)["errorDialog"]) == ("registered", info["errorDialog"])


def test_a_storage_or_none_at_all_is_a_good_destination(world: World) -> None:
    for destination in ("LOCAL", None):
        params = _free(sim_map(), destination)
        params["taskName"] = f"{params['taskName']}.{destination}"
        assert world.run(world.submit(params)) == "done"


def test_inputs_without_guid_rest_until_they_have_one(world: World) -> None:
    sim, reco = (_free(one) for one in (sim_map(), reco_map()))
    world.rules = replace(world.rules, instantiate=False)
    parent = world.submit(sim)
    assert world.run(parent) == "done"
    _set_guids(world, parent, None)
    task_id = world.submit(reco, parent=parent)
    world.make_jobs()
    last = [one["dataset"] for one in reco["jobParameters"] if one.get("param_type") == "input"][-1]
    recorded = _recorded("stock_ddm", 259, "get_detailed_info")
    wanted = re.sub(r"MC2025_S2:[^ >]+", last, recorded["errorDialog"])
    assert (world.status(task_id), recorded["status"]) == ("pending", "pending")
    assert re.sub(r"pid=\d+", "pid=", world.info(task_id)["errorDialog"]) == re.sub(r"pid=\d+", "pid=", wanted)
    world.feed()  # looked at again, and as before
    _set_guids(world, parent, "183b057920c050b3b7f7890de61add8f")
    assert world.run(task_id) == "done"
    log = [status for status, _ in groupby(world.log(task_id))]
    seen = [
        status for status, _ in groupby(one[1] for one in recordings.statuses()["stock_ddm"]["256"]["task_status_log"])
    ]
    assert log[: log.index("running") + 1] == seen[: seen.index("running") + 1]
    assert log.count("pending") == 2
    job = _described(world, task_id)
    assert {one["GUID"] for one in job["Files"] if one["type"] == "input"} == {"183B0579-20C0-50B3-B7F7-890DE61ADD8F"}
    assert world.info(task_id)["errorDialog"] is None


def _set_guids(world: World, task_id: int, guid: str | None) -> None:
    with world.engine.begin() as connection:
        connection.execute(update(t.file).where(t.file.c.jedi_task_id == task_id).values(guid=guid))
