"""The status log of JEDI in small beside the log of the recorded one, task by task."""

from __future__ import annotations

from collections.abc import Callable
from itertools import groupby
from typing import Any

import pytest

from tests.contract.jedi.conftest import World, reco_map, sim_map
from tests.contract.panda import recordings

UNLOGGED = {"aborting", "finishing", "toretry", "toincexec"}
"""Statuses that a client can see and the recorded server did not log."""


def _recorded(scenario: str, task_id: int) -> list[str]:
    log = recordings.statuses()[scenario][str(task_id)]["task_status_log"]
    return [status for status, _ in groupby(line[1] for line in log)]


def _logged(world: World, task_id: int) -> list[str]:
    found = [one for one in world.log(task_id) if one not in UNLOGGED]
    while "paused" in found[:-1] and found[found.index("paused") + 1] == "running":
        del found[found.index("paused") + 1]  # nor what a task went back to
        break
    return [status for status, _ in groupby(found)]


def _bad_seeds(*seeds: int) -> Callable[[Any], bool]:
    return lambda job: any(f"--seed={seed} " in job["parameters"] for seed in seeds)


def _scouted(seeds: int) -> dict[str, Any]:
    params = sim_map(seeds=seeds)
    del params["skipScout"]
    return params


def _done(world: World) -> int:
    task_id = world.submit(sim_map(seeds=10))
    world.run(task_id)
    return task_id


def _finished_and_retried(world: World) -> int:
    task_id = world.submit(sim_map(seeds=10, maxAttempt=2))
    world.run(task_id, bad=_bad_seeds(501, 502))
    world.command(task_id, "retry")
    world.run(task_id)
    return task_id


def _failed_and_retried(world: World) -> int:
    task_id = world.submit(sim_map(seeds=5, maxAttempt=1))
    world.run(task_id, bad=lambda job: True)
    world.command(task_id, "retry")
    world.run(task_id)
    return task_id


def _scouting(world: World) -> int:
    task_id = world.submit(_scouted(20))
    world.run(task_id)
    return task_id


def _few_scouts_fail(world: World) -> int:
    task_id = world.submit(_scouted(10))
    world.run(task_id, bad=lambda job: True)
    return task_id


def _all_scouts_fail(world: World) -> int:
    task_id = world.submit(_scouted(20))
    world.run(task_id, bad=lambda job: True)
    return task_id


def _pending(world: World) -> int:
    task_id = world.submit(sim_map(site="NOWHERE"))
    world.make_jobs()
    world.feed()
    world.generate()
    world.command(task_id, "kill")
    world.finish()
    return task_id


def _broken(world: World) -> int:
    params = sim_map()
    del params["processingType"]
    task_id = world.submit(params)
    world.run(task_id)
    return task_id


def _broken_by_parent(world: World) -> int:
    task_id = world.submit(sim_map(), parent=99999999)
    world.run(task_id)
    return task_id


def _killed_and_reloaded(world: World) -> int:
    task_id = world.submit(sim_map(seeds=5))
    world.make_jobs()
    world.end_job(world.jobs(task_id)[0])
    world.command(task_id, "kill")
    world.finish()
    world.command(task_id, "incexec")
    world.make_jobs()
    return task_id


def _twin(world: World) -> int:
    world.submit(sim_map())
    task_id = world.submit(sim_map())
    world.refine()
    world.finish()
    return task_id


def _finish(world: World, done: int, **options: Any) -> int:
    task_id = world.submit(sim_map(seeds=5))
    world.make_jobs()
    for job in world.jobs(task_id)[:done]:
        world.end_job(job)
    world.command(task_id, "finish", **options)
    world.finish()
    return task_id


def _finish_and_reassign(world: World) -> int:
    task_id = _finish(world, done=2)
    world.command(task_id, "reassign", site="SPD_A")
    return task_id


def _paused(world: World) -> int:
    task_id = world.submit(sim_map(seeds=5))
    world.make_jobs()
    world.command(task_id, "pause")
    world.command(task_id, "resume")
    world.run(task_id)
    return task_id


def _text_for_a_number(world: World) -> int:
    params = sim_map(nEvents="8000", nEventsPerJob=4000)
    del params["pfnList"], params["nFiles"]
    task_id = world.submit(params)
    for _ in range(3):
        world.make_jobs()
    world.command(task_id, "kill")
    world.finish()
    return task_id


def _done_and_reloaded(world: World) -> int:
    task_id = world.submit(sim_map(seeds=5))
    world.make_jobs()
    world.command(task_id, "reassign", site="SPD_A")
    world.run(task_id)
    world.command(task_id, "incexec")
    world.make_jobs()
    world.finish()
    return task_id


def _beside_a_small_parent(world: World) -> int:
    parent = world.submit(sim_map(seeds=5))
    world.make_jobs()
    task_id = world.submit(reco_map(noWaitParent=True), parent=parent)
    world.make_jobs()
    world.end_jobs(parent)
    world.make_jobs()
    world.finish()
    world.run(task_id)
    return task_id


def _beside_a_big_parent(world: World) -> int:
    parent = world.submit(sim_map(seeds=25))
    world.make_jobs()
    task_id = world.submit(reco_map(noWaitParent=True), parent=parent)
    world.make_jobs()
    for job in world.jobs(parent)[:22]:
        world.end_job(job)
    world.make_jobs()
    assert (world.info(task_id)["nFiles"], len(world.jobs(task_id))) == (22, 20)
    world.end_jobs(task_id)
    world.finish()
    world.make_jobs()
    assert (world.status(task_id), len(world.jobs(task_id))) == ("running", 20)
    world.end_jobs(parent)
    world.finish()
    assert (world.status(task_id), len(world.jobs(task_id))) == ("defined", 20)
    world.make_jobs()
    assert (world.status(task_id), len(world.jobs(task_id))) == ("running", 25)
    world.run(task_id)
    assert len(world.jobs(task_id)) == 25
    return task_id


def _after_its_parent(world: World) -> int:
    parent = world.submit(sim_map(seeds=5))
    world.make_jobs()
    task_id = world.submit(reco_map(), parent=parent)
    world.refine()
    world.feed()
    world.end_jobs(parent)
    world.finish()
    world.run(task_id)
    return task_id


CASES: dict[str, tuple[Callable[[World], int], str, int]] = {
    "done": (_done, "chain_done", 58),
    "finished, retried": (_finished_and_retried, "partial_finished", 49),
    "failed, retried": (_failed_and_retried, "failed", 50),
    "scouting": (_scouting, "scouting", 51),
    "ten jobs are not scouted": (_few_scouts_fail, "scouts_broken", 52),
    "all scouts fail": (_all_scouts_fail, "scouts_broken", 83),
    "unknown queue": (_pending, "pending", 54),
    "broken": (_broken, "broken", 56),
    "unknown parent": (_broken_by_parent, "odd_input", 91),
    "killed, reloaded": (_killed_and_reloaded, "killed", 63),
    "twin": (_twin, "duplicates", 92),
    "finish": (_finish_and_reassign, "finish_cmd", 67),
    "soft finish": (lambda world: _finish(world, 2, soft=True), "finish_cmd", 69),
    "finish with nothing": (lambda world: _finish(world, 0), "finish_cmd", 71),
    "paused": (_paused, "pause_resume", 68),
    "a text for a number": (_text_for_a_number, "odd_input", 82),
    "done, reloaded": (_done_and_reloaded, "attributes", 80),
    "beside a small parent": (_beside_a_small_parent, "chain_pipelined", 65),
    "beside a big parent": (_beside_a_big_parent, "chain_pipelined", 102),
    "after its parent": (_after_its_parent, "chain_pipelined", 66),
}


@pytest.mark.parametrize("case", CASES)
def test_statuses_come_in_the_recorded_order(world: World, case: str) -> None:
    drive, scenario, recorded_id = CASES[case]
    task_id = drive(world)
    assert _logged(world, task_id) == _recorded(scenario, recorded_id)


def test_reasons_are_logged_as_recorded(world: World) -> None:
    task_id = _beside_a_big_parent(world)
    said = "insufficient inputs are ready. 0 files available, 1*20 files required"
    assert world.reasons(task_id, "pending") == [said]
    recorded = recordings.statuses()["chain_pipelined"]["102"]["task_status_log"]
    assert [line[2] for line in recorded if line[1] == "pending"] == [said]


def test_a_task_waits_for_the_bunch_and_says_how_many_files_there_are(world: World) -> None:
    parent = world.submit(sim_map(seeds=25))
    world.make_jobs()
    task_id = world.submit(reco_map(noWaitParent=True), parent=parent)
    for count in (0, 5, 19):
        for job in [one for one in world.jobs(parent) if one["status"] != "finished"][: count - _ended(world, parent)]:
            world.end_job(job)
        world.make_jobs()
        said = f"insufficient inputs are ready. {count} files available, 1*20 files required"
        assert (world.status(task_id), world.task(task_id)["error_dialog"]) == ("pending", said)
    assert world.task(task_id)["old_status"] == "defined"


def _ended(world: World, task_id: int) -> int:
    return sum(job["status"] == "finished" for job in world.jobs(task_id))
