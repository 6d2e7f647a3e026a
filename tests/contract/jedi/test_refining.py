"""Submissions become tasks: twins, parents, times, maps taken anew."""

from __future__ import annotations

import uuid
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text, update

from sandbox.panda import tables as t
from sandbox.panda.rhythms import utc_now
from sandbox.panda.store import find_task
from sandbox.panda.tasks import registrar
from sandbox.panda.tasks.registrar import RefineRules
from tests.contract.jedi.conftest import World, reco_map, sim_map


def test_of_fifty_twins_the_lowest_lives(world: World) -> None:
    ids = [world.submit(sim_map()) for _ in range(50)]
    world.refine()
    assert world.status(ids[0]) == "defined"
    assert {world.status(one) for one in ids[1:]} == {"toabort"}
    for one in ids[1:]:
        task = world.task(one)
        assert task["task_name"] is None
        assert task["error_dialog"] == f"toabort since there is duplicated task -> jediTaskID={ids[0]}"


def test_the_lowest_lives_even_if_its_request_was_the_slower_one(world: World) -> None:
    first, second = world.submit(sim_map()), world.submit(sim_map())
    world.rhythms = world.rhythms.model_copy(update={"unknown_s": 60.0})
    with world.engine.begin() as connection:
        s = t.submission.c
        earlier = utc_now() - timedelta(seconds=90)
        connection.execute(update(t.submission).where(s.jedi_task_id == second).values(created=earlier))
    world.refine()
    assert [world.status(first), world.status(second)] == ["defined", "toabort"]


def test_twins_that_two_refiners_look_at_in_the_same_moment_both_live(world: World) -> None:
    ids = [world.submit(sim_map()) for _ in range(2)]
    registrar.register_submissions(world.engine, world.rhythms)
    rules = RefineRules("spd", refiners=2)
    with world.engine.begin() as one, world.engine.begin() as other:
        for connection, task_id in ((one, ids[0]), (other, ids[1])):
            row = find_task(connection, task_id, lock=True)
            assert row is not None
            registrar._refine_one(connection, row, world.rhythms, rules, registrar.Objections())
    assert [world.status(one) for one in ids] == ["defined", "defined"]


def test_several_refiners_refine_everything_once(world: World) -> None:
    world.rules = replace(world.rules, refiners=4)
    ids = [world.submit(sim_map(name=f"n{number}")) for number in range(20)]
    world.refine()
    assert [world.log(one) for one in ids] == [["defined"]] * 20


def test_the_same_name_under_another_user_lives(world: World) -> None:
    ids = [world.submit(sim_map()), world.submit(sim_map(), user="user1")]
    world.refine()
    assert [world.status(one) for one in ids] == ["defined", "defined"]


@pytest.mark.parametrize("ending", ["done", "aborted", "failed"])
def test_a_spent_name_stays_spent_in_any_state(world: World, ending: str) -> None:
    first = world.submit(sim_map())
    if ending == "aborted":
        world.make_jobs()
        world.command(first, "kill")
        world.finish()
    else:
        world.run(first, bad=lambda job: ending == "failed")
    assert world.status(first) == ending
    second = world.submit(sim_map())
    world.refine()
    assert world.task(second)["error_dialog"].endswith(f"jediTaskID={first}")


def test_a_child_waits_for_its_parent_and_keeps_the_time_it_began_to(world: World) -> None:
    world.rhythms = world.rhythms.model_copy(update={"parent_s": 0.0})
    parent = world.submit(sim_map())
    world.make_jobs()
    child = world.submit(reco_map(), parent=parent)
    world.refine()
    before = world.task(child)
    assert (before["status"], before["old_status"], before["start_time"]) == ("pending", "registered", None)
    assert (world.info(child)["splitRule"], world.info(child)["ramCount"]) == (None, None)
    world.feed()
    after = world.task(child)
    assert (after["status"], after["old_status"]) == ("registered", None)
    assert after["error_dialog"] == f"pending until parent task {parent} is done"
    for key in ("state_change_time", "modification_time"):
        assert after[key] == before[key]
    assert world.run(parent) == "done"
    assert world.run(child) == "done"


def test_release_lets_a_waiting_child_look_at_its_parent_at_once(world: World) -> None:
    world.rhythms = world.rhythms.model_copy(update={"parent_s": 600.0, "pending_s": 90.0})
    parent = world.submit(sim_map())
    world.make_jobs()
    child = world.submit(reco_map(), parent=parent)
    world.refine()
    world.end_jobs(parent)
    world.finish()
    assert world.status(parent) == "done"
    world.make_jobs()
    assert world.status(child) == "pending"
    world.command(child, "release")
    world.feed()
    world.refine()
    assert world.status(child) == "defined"


def test_a_failed_parent_breaks_the_child(world: World) -> None:
    parent = world.submit(sim_map())
    world.run(parent, bad=lambda job: True)
    child = world.submit(reco_map(), parent=parent)
    world.refine()
    assert world.status(child) == "tobroken"
    assert world.task(child)["error_dialog"] == f"parent task {parent} failed to complete"


def test_a_defined_task_changed_its_status_when_it_was_made(world: World) -> None:
    task_id = world.submit(sim_map())
    world.refine()
    task = world.task(task_id)
    assert task["state_change_time"] == task["creation_date"]
    assert task["modification_time"] > task["creation_date"]
    assert task["start_time"] is not None


def test_a_broken_map_leaves_a_random_name_and_no_times(world: World) -> None:
    params = sim_map()
    del params["processingType"]
    task_id = world.submit(params)
    assert world.run(task_id) == "broken"
    task = world.task(task_id)
    assert str(uuid.UUID(task["task_name"])) == task["task_name"]
    assert (task["start_time"], task["end_time"], task["vo"], task["user_name"]) == (None, None, None, "tobeset")
    assert task["locked_time"] is not None


def test_a_broken_map_with_its_name_keeps_its_attributes_and_times(world: World) -> None:
    task_id = world.submit(reco_map(name="unknown"))
    assert world.run(task_id) == "broken"
    task = world.task(task_id)
    assert task["task_name"] == "RECO.unknown"
    assert None not in (task["start_time"], task["end_time"])
    assert world.info(task_id)["ramCount"] == 2000


def test_a_map_taken_anew_forgets_priority_and_rule_but_not_memory(world: World) -> None:
    task_id = world.submit(sim_map())
    world.run(task_id)
    ended = world.task(task_id)
    attributes = ended["attributes"] | {"ramCount": 3000}
    attributes["splitRule"] += ",t1Weight=5"
    with world.engine.begin() as connection:
        values = {"current_priority": 555, "attributes": attributes}
        connection.execute(update(t.task).where(t.task.c.jedi_task_id == task_id).values(**values))
    world.command(task_id, "incexec")
    assert world.status(task_id) == "rerefine"
    world.refine()
    task = world.task(task_id)
    assert (task["status"], task["start_time"], task["end_time"]) == ("defined", None, ended["end_time"])
    info = world.info(task_id)
    assert (info["currentPriority"], info["ramCount"]) == (900, 3000)
    assert info["splitRule"].endswith(",messageDriven=1,useScout=no_use")
    assert world.run(task_id) == "done"
    assert len(world.jobs(task_id)) == 3


def test_reload_input_runs_an_aborted_task_again(world: World) -> None:
    task_id = world.submit(sim_map())
    world.make_jobs()
    world.command(task_id, "kill")
    world.finish()
    assert world.status(task_id) == "aborted"
    world.command(task_id, "incexec")
    assert world.run(task_id) == "done"
    assert [job["status"] for job in world.jobs(task_id)] == ["cancelled"] * 3 + ["finished"] * 3


def test_a_final_task_that_is_reassigned_goes_an_hour_back(world: World) -> None:
    task_id = world.submit(sim_map())
    world.run(task_id)
    before = world.task(task_id)
    world.command(task_id, "reassign", site="SPD_B")
    task = world.task(task_id)
    assert (task["status"], task["end_time"]) == ("done", before["end_time"])
    assert task["state_change_time"] - task["modification_time"] == timedelta(hours=1)
    assert world.log(task_id)[-2:] == ["done", "done"]


def test_a_reassigned_task_makes_its_jobs_at_the_new_queue(world: World) -> None:
    task_id = world.submit(sim_map(site="SPD_A"))
    world.make_jobs()
    world.command(task_id, "reassign", site="SPD_B")
    world.generate()
    found = [(job["site"], job["status"]) for job in world.jobs(task_id)]
    assert found == [("SPD_A", "cancelled")] * 3 + [("SPD_B", "pending")] * 3


def test_paused_jobs_keep_their_times(world: World) -> None:
    task_id = world.submit(sim_map())
    world.make_jobs()
    before = [job["state_change_time"] for job in world.jobs(task_id)]
    world.command(task_id, "pause")
    assert {job["status"] for job in world.jobs(task_id)} == {"throttled"}
    assert [job["state_change_time"] for job in world.jobs(task_id)] == before
    assert (world.task(task_id)["status"], world.task(task_id)["old_status"]) == ("paused", "running")
    world.command(task_id, "resume")
    task: Any = world.task(task_id)
    assert (task["status"], task["old_status"], task["error_dialog"]) == ("running", None, None)


def test_an_older_database_gets_the_columns_that_came_later(world: World) -> None:
    with world.engine.begin() as connection:
        connection.execute(text("alter table task drop column locked_time"))
        connection.execute(text("alter table task drop column throttled_time"))
    t.create_schema(world.engine)
    task_id = world.submit(sim_map())
    assert world.run(task_id) == "done"
    assert world.task(task_id)["locked_time"] is not None
