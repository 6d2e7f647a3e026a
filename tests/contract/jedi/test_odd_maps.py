"""Maps that make no sense: each breaks, waits or runs for itself; the tasks beside it never notice."""

from __future__ import annotations

from typing import Any

import pytest

from sandbox.panda.store import FINAL
from tests.contract.jedi.conftest import World, reco_map, sim_map

ODD: list[Any] = [None, "", "x", [], {}, ["a"], {"a": 1}, -1, 0, 10**30, 1.5, True, "7" * 40]
KEYS = [
    "taskName", "taskPriority", "nFiles", "nFilesPerJob", "nEvents", "nEventsPerJob", "nEventsPerInputFile", "pfnList",
    "maxAttempt", "goal", "walltime", "maxWalltime", "site", "cloud", "workingGroup", "campaign", "architecture",
    "ramCount", "coreCount", "jobParameters", "log", "processingType", "prodSourceLabel", "uniqueTaskName", "userName",
    "transPath", "container_name",
]  # fmt: skip


def _odd_maps() -> list[dict[str, Any]]:
    maps = []
    for key in KEYS:
        for number, value in enumerate(ODD):
            params = sim_map(name=f"odd.{key}.{number}", seeds=2)
            if key.startswith("nEvents"):
                del params["pfnList"], params["nFiles"]
                params["nEvents"] = 2
            maps.append(params | {key: value})
    return maps


def _odd_templates() -> list[dict[str, Any]]:
    maps = []
    for part in ("value", "dataset", "param_type", "type", "offset", "ratio"):
        for number, value in enumerate(ODD):
            params = sim_map(name=f"template.{part}.{number}", seeds=2)
            params["jobParameters"][1] |= {part: value}
            maps.append(params)
            reco = reco_map(name=f"template.{part}.{number}")
            reco["jobParameters"][1] |= {part: value}
            maps.append(reco | {"taskName": f"RECO.template.{part}.{number}"})
    return maps


@pytest.mark.parametrize("make", [_odd_maps, _odd_templates])
def test_no_map_disturbs_the_tasks_beside_it(world: World, make: Any) -> None:
    odd = [world.submit(params) for params in make()]
    healthy = world.submit(sim_map(name="healthy"))
    for _ in range(5):
        world.make_jobs()
        for task_id in odd:
            world.end_jobs(task_id)
        world.end_jobs(healthy)
        world.finish()
    assert world.status(healthy) == "done"
    assert {world.info(task_id)["jediTaskID"] for task_id in odd} == set(odd)
    strange = {task_id: world.status(task_id) for task_id in odd if world.status(task_id) not in FINAL}
    assert set(strange.values()) <= {"defined", "pending", "running", "scouting"}
    for task_id in strange:
        world.register(task_id, "kill")
    world.execute()
    world.finish()
    assert {world.status(task_id) for task_id in strange} <= {"aborted"}


def test_more_jobs_than_anybody_can_run_break_the_task(world: World) -> None:
    params = sim_map(name="endless", nEvents=10**12, nEventsPerJob=1)
    del params["pfnList"], params["nFiles"]
    task_id = world.submit(params)
    assert world.run(task_id) == "broken"
    assert "1000000000000 jobs" in str(world.task(task_id)["error_dialog"])
