"""Commands: two steps with a status between them, the kill that wins, states in which nothing comes of a command."""

from __future__ import annotations

import pytest
from sqlalchemy import update

from sandbox.panda import tables as t
from sandbox.panda.tasks.execute import execute_commands
from tests.contract.jedi.conftest import World, sim_map


def _begin(world: World, task_id: int, name: str) -> str:
    world.rhythms = world.rhythms.model_copy(update={"soft_finish_s": 300.0})
    world.register(task_id, name)
    execute_commands(world.engine, world.rhythms)
    return world.status(task_id)


@pytest.mark.parametrize(
    ("name", "half", "after"), [("kill", "aborting", "toabort"), ("finish", "finishing", "passed")]
)
def test_a_running_task_is_seen_half_ended(world: World, name: str, half: str, after: str) -> None:
    task_id = world.submit(sim_map())
    world.make_jobs()
    assert _begin(world, task_id, name) == half
    assert (world.task(task_id)["old_status"], world.task(task_id)["error_dialog"]) == ("running", f"{name} by prodmgr")
    assert {job["status"] for job in world.jobs(task_id)} == {"pending"}
    world.execute()
    assert (world.status(task_id), world.task(task_id)["old_status"]) == (after, None)
    assert {job["status"] for job in world.jobs(task_id)} == {"cancelled"}


@pytest.mark.parametrize(
    ("name", "half", "after"), [("retry", "toretry", "ready"), ("incexec", "toincexec", "rerefine")]
)
def test_an_ended_task_is_seen_on_its_way_back(world: World, name: str, half: str, after: str) -> None:
    task_id = world.submit(sim_map())
    assert world.run(task_id, bad=lambda job: True) == "failed"
    assert _begin(world, task_id, name) == half
    world.execute()
    assert world.status(task_id) == after


def test_a_second_step_waits_for_its_moment(world: World) -> None:
    world.rhythms = world.rhythms.model_copy(update={"step_s": 60.0})
    task_id = world.submit(sim_map())
    world.make_jobs()
    world.command(task_id, "kill")
    assert world.status(task_id) == "aborting"


def test_of_several_commands_the_kill_wins(world: World) -> None:
    task_id = world.submit(sim_map())
    world.make_jobs()
    for name in ("pause", "finish", "kill", "finish"):
        world.register(task_id, name)
    world.execute()
    world.finish()
    assert world.status(task_id) == "aborted"
    assert "paused" not in world.log(task_id)


def test_a_kill_wins_over_a_finish_that_has_begun(world: World) -> None:
    task_id = world.submit(sim_map())
    world.make_jobs()
    assert _begin(world, task_id, "finish") == "finishing"
    assert _begin(world, task_id, "kill") == "aborting"
    world.execute()
    world.finish()
    assert world.status(task_id) == "aborted"


def test_a_hard_finish_ends_a_soft_one(world: World) -> None:
    world.rhythms = world.rhythms.model_copy(update={"soft_finish_s": 300.0})
    task_id = world.submit(sim_map())
    world.make_jobs()
    world.end_job(world.jobs(task_id)[0])
    world.command(task_id, "finish", soft=True)
    assert world.status(task_id) == "finishing"
    world.command(task_id, "finish")
    world.finish()
    assert world.status(task_id) == "finished"


@pytest.mark.parametrize("name", ["finish", "retry", "kill"])
def test_the_same_command_twice_does_its_work_once(world: World, name: str) -> None:
    task_id = world.submit(sim_map())
    if name == "retry":
        world.run(task_id, bad=lambda job: True)
    else:
        world.make_jobs()
        world.end_job(world.jobs(task_id)[0])
    for _ in range(2):
        world.register(task_id, name)
    for _ in range(3):
        world.execute()
    expected = {"finish": "passed", "retry": "ready", "kill": "toabort"}[name]
    assert world.status(task_id) == expected
    assert (world.task(task_id)["attempt_nr"], world.log(task_id).count(expected)) == (
        int(name == "retry"),
        1 + (name == "retry"),
    )
    assert world.run(task_id) == {"finish": "finished", "retry": "done", "kill": "aborted"}[name]


def test_a_kill_of_a_task_that_ends_meanwhile_changes_nothing(world: World) -> None:
    task_id = world.submit(sim_map())
    world.run(task_id)
    before = world.log(task_id)
    for name in ("kill", "finish", "retry", "pause", "resume", "release", "avalanche"):
        world.command(task_id, name)
    assert world.log(task_id) == before


def test_a_raised_number_of_attempts_is_kept_through_a_retry(world: World) -> None:
    task_id = world.submit(sim_map(seeds=1, maxAttempt=2))
    assert world.run(task_id, bad=lambda job: True) == "failed"
    assert [job["attempt_nr"] for job in world.jobs(task_id)] == [1, 2]
    world.command(task_id, "retry")
    assert world.run(task_id, bad=lambda job: job["attempt_nr"] < 4) == "done"
    assert [job["max_attempt"] for job in world.jobs(task_id)] == [1, 2, 3, 4]


# --- a kill that finds running jobs takes minutes (recording ``kill_slow``) -------------------------------------------
def _running(world: World, abort_s: float) -> int:
    """A task with a running job, at a JEDI whose kills take so long."""
    world.rhythms = world.rhythms.model_copy(update={"abort_s": abort_s})
    task_id = world.submit(sim_map())
    world.make_jobs()
    with world.engine.begin() as connection:
        connection.execute(update(t.job).where(t.job.c.jedi_task_id == task_id).values(status="running"))
    return task_id


def test_a_killed_task_with_running_jobs_stays_aborting_while_its_jobs_are_cancelled(world: World) -> None:
    task_id = _running(world, 300.0)
    world.command(task_id, "kill")
    world.execute()
    assert world.status(task_id) == "aborting"
    assert {job["status"] for job in world.jobs(task_id)} == {"cancelled"}
    world.rhythms = world.rhythms.model_copy(update={"abort_s": 0.0})
    world.execute()
    assert world.status(task_id) == "toabort"
    world.finish()
    assert world.status(task_id) == "aborted"


def test_a_pause_while_a_kill_is_carried_out_wins_and_the_kill_is_forgotten(world: World) -> None:
    task_id = _running(world, 300.0)
    world.command(task_id, "kill")
    world.command(task_id, "pause", "pause by prodmgr")
    world.rhythms = world.rhythms.model_copy(update={"abort_s": 0.0})
    for _ in range(3):
        world.execute()
        world.finish()
    assert (world.status(task_id), world.task(task_id)["error_dialog"]) == ("paused", "pause by prodmgr")
    world.rhythms = world.rhythms.model_copy(update={"abort_s": 300.0})
    world.command(task_id, "kill")
    assert world.status(task_id) == "aborting", "and again for minutes"
    world.rhythms = world.rhythms.model_copy(update={"abort_s": 0.0})
    world.execute()
    world.finish()
    assert world.status(task_id) == "aborted"
