"""Tasks that are held back: throttled, exhausted, without a queue."""

from __future__ import annotations

from tests.contract.jedi.conftest import World, queue, sim_map


def test_a_task_runs_through_all_statuses(world: World) -> None:
    task_id = world.submit(sim_map())
    assert world.run(task_id, cycles=3) == "done"
    assert world.log(task_id) == ["defined", "ready", "running", "prepared", "done"]


def test_a_full_queue_throttles_the_next_task_until_there_is_room(world: World) -> None:
    world.limit = 3
    first = world.submit(sim_map(name="first", site="SPD_A"))
    world.make_jobs()
    second = world.submit(sim_map(name="second", site="SPD_A"))
    world.make_jobs()
    world.generate()
    task = world.task(second)
    assert (task["status"], task["old_status"]) == ("throttled", "ready")
    assert task["error_dialog"] == "throttled since too many jobs wait: 3 at SPD_A, 3 allowed"
    assert world.info(second)["numThrottled"] >= 1
    assert world.info(second)["throttledTime"] is not None
    world.end_jobs(first)
    world.generate()
    assert world.status(second) == "running"
    assert world.task(second)["error_dialog"] is None


def test_a_task_with_a_queue_left_is_not_throttled(world: World) -> None:
    world.limit = 3
    world.submit(sim_map(name="first", site="SPD_A"))
    world.make_jobs()
    second = world.submit(sim_map(name="second"))
    world.make_jobs()
    assert world.status(second) == "running"


def test_resume_lets_a_throttled_task_go_on_at_a_full_queue(world: World) -> None:
    world.limit = 3
    world.rhythms = world.rhythms.model_copy(update={"pending_s": 60.0})
    world.submit(sim_map(name="first", site="SPD_A"))
    world.make_jobs()
    second = world.submit(sim_map(name="second", site="SPD_A"))
    world.refine()
    world.feed()
    world.generate()
    assert world.status(second) == "throttled"
    world.command(second, "resume")
    world.generate()
    assert world.status(second) == "running"
    assert len(world.jobs(second)) == 3


def test_scouts_that_run_longer_than_the_map_allows_exhaust_the_task(world: World) -> None:
    params = sim_map(seeds=20, maxWalltime=100)
    del params["skipScout"]
    task_id = world.submit(params)
    world.make_jobs()
    assert world.status(task_id) == "scouting"
    assert len(world.end_jobs(task_id, wall_s=150)) == 10
    world.finish()
    task = world.task(task_id)
    assert task["status"] == "exhausted"
    assert task["error_dialog"] == "exhausted since scout jobs ran up to 150 s while 100 s are allowed for one job"
    world.generate()
    assert len(world.jobs(task_id)) == 10
    world.command(task_id, "retry")
    assert world.run(task_id) == "done"
    assert len(world.jobs(task_id)) == 20


def test_an_incomplete_task_is_exhausted_on_wish(world: World) -> None:
    task_id = world.submit(sim_map(useExhausted=True))
    assert world.run(task_id, bad=lambda job: "--seed=501" in job["parameters"]) == "exhausted"
    assert world.task(task_id)["error_dialog"] == "exhausted since 1 of 3 inputs are not finished"
    world.command(task_id, "retry")
    assert world.run(task_id) == "done"


def test_a_task_waits_while_its_queue_is_off_and_goes_on_after(world: World) -> None:
    world.sites["SPD_A"] = queue("SPD_A", status="offline")
    task_id = world.submit(sim_map(site="SPD_A"))
    world.make_jobs()
    task = world.task(task_id)
    assert (task["status"], task["old_status"]) == ("pending", "ready")
    assert task["error_dialog"].endswith(
        " : no candidates: SPD_A is offline. brokerage failed for 1 input datasets when trying 1 datasets."
    )
    world.sites["SPD_A"] = queue("SPD_A")
    world.feed()
    world.generate()
    assert world.status(task_id) == "running"


def test_a_queue_that_a_scenario_switches_off_is_named_with_the_reason(world: World) -> None:
    world.blocked = lambda name: {"SPD_A": "switched off by the scenario"} if "one" in name else {}
    task_id = world.submit(sim_map(site="SPD_A, SPD_B"))
    other = world.submit(sim_map(site="SPD_A", name="two"))
    world.make_jobs()
    assert {job["site"] for job in world.jobs(task_id)} == {"SPD_B"}
    assert {job["site"] for job in world.jobs(other)} == {"SPD_A"}


def test_jobs_of_one_task_go_to_several_queues_by_their_free_slots(world: World) -> None:
    task_id = world.submit(sim_map(seeds=10))
    world.make_jobs()
    sites = [job["site"] for job in world.jobs(task_id)]
    assert (sites.count("SPD_A"), sites.count("SPD_B")) == (8, 2)


def test_without_a_site_the_cloud_of_the_map_counts(world: World) -> None:
    world.sites = {one.name: one for one in (queue("FAR", cloud="ELSEWHERE"), queue("NEAR", cloud="JINR"))}
    task_id = world.submit(sim_map())
    lost = world.submit(sim_map(name="lost", cloud="NOWHERE"))
    world.make_jobs()
    assert {job["site"] for job in world.jobs(task_id)} == {"NEAR"}
    assert " : no queue in cloud=NOWHERE. brokerage failed" in world.task(lost)["error_dialog"]


def test_a_soft_finish_lets_running_jobs_end_and_keeps_what_is_done(world: World) -> None:
    task_id = world.submit(sim_map(seeds=5))
    world.make_jobs()
    for job in world.jobs(task_id)[:2]:
        world.end_job(job)
    world.command(task_id, "finish", comment="soft finish by prodmgr", soft=True)
    assert world.log(task_id)[-2:] == ["finishing", "passed"]
    world.finish()
    task = world.task(task_id)
    assert (task["status"], task["error_dialog"]) == ("finished", "soft finish by prodmgr")
    assert world.info(task_id)["nFilesFinished"] == 2
    assert [job["status"] for job in world.jobs(task_id)] == ["finished"] * 2 + ["cancelled"] * 3
