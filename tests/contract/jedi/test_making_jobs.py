"""From slots to jobs: names, numbers, events, attempts, rules that a person changed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import RowMapping, update

from sandbox.panda import tables as t
from sandbox.panda.tasks.split_rule import change_rule
from tests.contract.jedi.conftest import World, reco_map, sim_map


def _names(world: World, task_id: int, ending: str = ".root") -> list[str]:
    files = [file for file in world.files(task_id) if ".S." in file["lfn"]]
    return [str(file["lfn"]).split(".S.")[1].removesuffix(ending) for file in files]


def _plain_map(seeds: int, **changes: Any) -> dict[str, Any]:
    """Map whose jobs can have several seeds: no arithmetic on ``${IN}``."""
    params = sim_map(seeds=seeds, **changes)
    params["jobParameters"][0]["value"] = "simu.C --seed=${IN} --n=4000"
    return params


def _bad_once(seed: int) -> Any:
    def is_bad(job: RowMapping) -> bool:
        return f"--seed={seed} " in job["parameters"] and job["attempt_nr"] == 1

    return is_bad


def test_a_second_attempt_takes_the_next_serial_number(world: World) -> None:
    task_id = world.submit(sim_map())
    assert world.run(task_id, bad=_bad_once(501)) == "done"
    assert _names(world, task_id) == ["000001", "000002", "000003", "000004"]
    assert [job["attempt_nr"] for job in world.jobs(task_id)] == [1, 1, 1, 2]


def test_with_suffixes_a_second_attempt_keeps_the_number_and_gets_the_next_suffix(world: World) -> None:
    world.rules = replace(world.rules, attempt_suffix=True)
    task_id = world.submit(sim_map())
    assert world.run(task_id, bad=_bad_once(501)) == "done"
    assert _names(world, task_id) == ["000001.root.1", "000002.root.1", "000003.root.1", "000002.root.2"]
    assert ".S.000002.root.2 " in world.jobs(task_id)[-1]["parameters"]
    assert {file["lfn"][-9:] for file in world.files(task_id, "log")} == {
        "001.tgz.1",
        "002.tgz.1",
        "003.tgz.1",
        "002.tgz.2",
    }


def test_several_slots_make_one_job_and_fail_together(world: World) -> None:
    task_id = world.submit(_plain_map(5, nFilesPerJob=2))
    world.make_jobs()
    seeds = [job["parameters"].split("--seed=")[1].split()[0] for job in world.jobs(task_id)]
    assert seeds == ["500,501", "502,503", "504"]
    world.end_jobs(task_id, bad=lambda job: "502" in job["parameters"])
    assert world.run(task_id) == "done"
    again = world.jobs(task_id)[-1]
    assert (again["attempt_nr"], again["failed_attempt"], "--seed=502,503 " in again["parameters"]) == (2, 1, True)


def test_two_inputs_of_several_files_a_job_stay_side_by_side(world: World) -> None:
    sim = world.submit(sim_map(seeds=5))
    assert world.run(sim) == "done"
    reco = world.submit(reco_map(nFilesPerJob=2), parent=sim)
    assert world.run(reco) == "done"
    for job in world.jobs(reco):
        words = dict(word.split("=", 1) for word in job["parameters"].split() if "=" in word)
        assert [name.split(".S.")[1] for name in words["--in"].split(",")] == [
            name.split(".P.")[1] for name in words["--par"].split(",")
        ]
    assert [job["parameters"].count(".S.") for job in world.jobs(reco)] == [2, 2, 1]


def test_events_cut_an_input_file_into_several_jobs(world: World) -> None:
    sim = world.submit(sim_map(seeds=2))
    world.run(sim)
    params = reco_map(nEventsPerInputFile=4000, nEventsPerJob=1500)
    params["jobParameters"].append({"type": "constant", "value": "--skip=${SKIPEVENTS} --n=${MAXEVENTS}"})
    reco = world.submit(params, parent=sim)
    world.make_jobs()
    tails = [job["parameters"].split("--skip=")[1] for job in world.jobs(reco)]
    assert tails == ["0 --n=1500", "1500 --n=1500", "3000 --n=1000"] * 2
    assert world.info(reco)["nFiles"] == 6


def test_more_events_a_job_than_in_a_file_take_several_files(world: World) -> None:
    sim = world.submit(sim_map(seeds=4))
    world.run(sim)
    reco = world.submit(reco_map(nEventsPerInputFile=4000, nEventsPerJob=8000), parent=sim)
    world.make_jobs()
    assert [job["n_events"] for job in world.jobs(reco)] == [8000, 8000]


def test_the_map_limits_the_number_of_input_files(world: World) -> None:
    sim = world.submit(sim_map(seeds=4))
    world.run(sim)
    reco = world.submit(reco_map(nFiles=3), parent=sim)
    assert world.run(reco) == "done"
    assert (world.info(reco)["nFiles"], len(world.jobs(reco))) == (3, 3)


def test_a_changed_split_rule_counts_for_the_jobs_that_follow(world: World) -> None:
    task_id = world.submit(_plain_map(4))
    world.make_jobs()
    world.end_jobs(task_id, bad=lambda job: True)
    rule = change_rule(world.task(task_id)["attributes"]["splitRule"], "NF", "2")
    assert rule.startswith("nFilesPerJob=2,")
    with world.engine.begin() as connection:
        attributes = {**world.task(task_id)["attributes"], "splitRule": rule}
        connection.execute(update(t.task).where(t.task.c.jedi_task_id == task_id).values(attributes=attributes))
    world.generate()
    assert ["--seed=500,501 " in world.jobs(task_id)[4]["parameters"], len(world.jobs(task_id))] == [True, 6]


def test_offsets_of_outputs_seeds_and_first_event_are_added(world: World) -> None:
    params = sim_map(name="offsets", nEvents=8000, nEventsPerJob=4000)
    del params["pfnList"], params["nFiles"]
    outputs = [one for one in params["jobParameters"] if one.get("param_type") == "output"]
    for one, offset in zip(outputs, (100, 200), strict=True):
        one["offset"] = offset
    params["jobParameters"] = [
        {"type": "constant", "value": "simu.C"},
        {"type": "template", "param_type": "number", "value": "--seed=${RNDMSEED}", "offset": 1000},
        {"type": "template", "param_type": "number", "value": "--first=${FIRSTEVENT} --n=${MAXEVENTS}", "offset": 50},
        *outputs,
    ]
    task_id = world.submit(params)
    world.make_jobs()
    words = [job["parameters"].split()[1:4] for job in world.jobs(task_id)]
    assert words == [["--seed=1001", "--first=51", "--n=4000"], ["--seed=1002", "--first=4051", "--n=4000"]]
    ends = [
        (name.split(".S.")[1][:6], name.split(".P.")[1][:6]) for name in [j["parameters"] for j in world.jobs(task_id)]
    ]
    assert ends == [("000101", "000201"), ("000102", "000202")]


def test_an_empty_closed_dataset_fails_the_task_and_an_open_one_is_waited_for(world: World) -> None:
    sim = world.submit(sim_map(name="empty"))
    world.make_jobs()
    waiting = world.submit(reco_map(name="empty"))
    world.make_jobs()
    assert world.status(waiting) == "pending"
    world.run(sim, bad=lambda job: True)
    assert world.status(sim) == "failed"
    assert world.run(waiting) == "failed"
    allowed = world.submit(reco_map(name="empty", allowEmptyInput=True) | {"taskName": "RECO.allowed"})
    assert world.run(allowed) == "finished"


def test_a_task_until_closed_takes_files_that_come_later(world: World) -> None:
    sim = world.submit(sim_map(name="slow", seeds=3))
    world.make_jobs()
    first, *rest = world.jobs(sim)
    world.end_job(first)
    reco = world.submit(reco_map(name="slow", runUntilClosed=True))
    world.run(reco, cycles=2)
    assert (world.status(reco) not in ("done", "finished"), len(world.jobs(reco))) == (True, 1)
    for job in rest:
        world.end_job(job)
    world.run(sim)
    assert world.run(reco) == "done"
    assert len(world.jobs(reco)) == 3


def test_a_goal_ends_the_task_before_its_last_jobs(world: World) -> None:
    task_id = world.submit(sim_map(seeds=10, goal=75))
    world.make_jobs()
    jobs = world.jobs(task_id)
    for job in jobs[:7]:
        world.end_job(job)
    world.finish()
    assert world.status(task_id) == "running"
    world.end_job(jobs[7])
    world.finish()
    world.finish()
    task = world.task(task_id)
    assert task["status"] == "finished"
    assert task["error_dialog"] == "goal reached: 8 of 10 inputs are finished, 75 % were asked for"
    assert [job["status"] for job in world.jobs(task_id)][8:] == ["cancelled"] * 2
    assert world.info(task_id)["goal"] == 750


def test_a_missed_goal_fails_the_task_on_wish(world: World) -> None:
    task_id = world.submit(sim_map(goal=90, failGoalUnreached=True))
    assert world.run(task_id, bad=lambda job: "--seed=501 " in job["parameters"]) == "failed"


def _pairs(world: World, task_id: int) -> list[tuple[int, int]]:
    """Numbers of the S and the P file of each job."""
    words = [
        dict(word.split("=", 1) for word in job["parameters"].split() if "=" in word) for job in world.jobs(task_id)
    ]
    return [(int(one["--in"].split(".")[-2]), int(one["--par"].split(".")[-2])) for one in words]


def _lose(world: World, task_id: int, kind: str, number: int) -> None:
    ending = f".{kind}.{number:06d}.root"
    with world.engine.begin() as connection:
        f = t.file.c
        connection.execute(update(t.file).where(f.jedi_task_id == task_id, f.lfn.endswith(ending)).values(lost=True))


@pytest.mark.parametrize(
    ("kind", "number", "pairs"),
    [
        ("P", 2, [(1, 1), (2, 3), (3, 4), (4, 5), (5, 1)]),
        ("S", 2, [(1, 1), (3, 2), (4, 3), (5, 4)]),
        ("P", 5, [(1, 1), (2, 2), (3, 3), (4, 4), (5, 1)]),
    ],
)
def test_a_lost_file_shifts_the_pairs_that_follow(
    world: World, kind: str, number: int, pairs: list[tuple[int, int]]
) -> None:
    sim = world.submit(sim_map(seeds=5))
    world.run(sim)
    _lose(world, sim, kind, number)
    reco = world.submit(reco_map(), parent=sim)
    assert world.run(reco) == "done"
    assert _pairs(world, reco) == pairs


def test_a_ratio_gives_each_job_that_many_second_files(world: World) -> None:
    sim = world.submit(sim_map(seeds=4))
    world.run(sim)
    params = reco_map(nFiles=2)
    for one in params["jobParameters"]:
        if one.get("ratio"):
            one["ratio"] = 2
    reco = world.submit(params, parent=sim)
    assert world.run(reco) == "done"
    found = [job["parameters"].split("--par=")[1].split()[0].split(",") for job in world.jobs(reco)]
    assert [[name.split(".")[-2] for name in one] for one in found] == [["000001", "000002"], ["000003", "000004"]]


def test_a_failed_pair_is_tried_again_with_the_same_files(world: World) -> None:
    sim = world.submit(sim_map(seeds=4))
    world.run(sim)
    reco = world.submit(reco_map(), parent=sim)
    world.make_jobs()
    world.end_jobs(reco, bad=lambda job: ".S.000002." in job["parameters"])
    assert world.run(reco) == "done"
    assert _pairs(world, reco) == [(1, 1), (2, 2), (3, 3), (4, 4), (2, 2)]


def test_the_pool_gives_the_lowest_free_number_first_and_new_ones_past_its_end(world: World) -> None:
    params = sim_map(nEvents=20000, nEventsPerJob=4000)
    del params["pfnList"], params["nFiles"]
    params["jobParameters"][0] = {
        "type": "template", "param_type": "number", "value": "simu.C --seed=${RNDMSEED} --n=4000", "offset": 1000,
    }  # fmt: skip
    task_id = world.submit(params)
    world.make_jobs()
    world.end_jobs(task_id, bad=lambda job: "=1002 " in job["parameters"] or "=1004 " in job["parameters"])
    world.make_jobs()
    seeds = [int(job["parameters"].split("--seed=")[1].split()[0]) for job in world.jobs(task_id)]
    assert seeds == [1001, 1002, 1003, 1004, 1005, 1002, 1004]


def test_jobs_have_the_priority_of_their_task_and_important_tasks_come_first(world: World) -> None:
    low, high = (
        world.submit(sim_map(name="low", taskPriority=100)),
        world.submit(sim_map(name="high", taskPriority=990)),
    )
    world.make_jobs()
    assert {job["priority"] for job in world.jobs(low)} == {100}
    assert {job["priority"] for job in world.jobs(high)} == {990}
    assert max(job["panda_id"] for job in world.jobs(high)) < min(job["panda_id"] for job in world.jobs(low))
