"""Commands and what they do to tasks, twins, chains; each driven from the session's start, side by side."""

from __future__ import annotations

from tests.contract.panda.maps import reco_map, sim_map
from tests.contract.panda.outcome import FINAL
from tests.contract.panda.side_by_side import side_by_side
from tests.contract.panda.skips import NO_FAILURES, skip
from tests.contract.panda.targets import Target

ENDING = {"aborting", "toabort", "aborted", "done"}
AT_WORK = {"defined", "ready", "running"}


@side_by_side
def test_of_eight_twins_one_lives_and_the_others_name_it(target: Target) -> None:
    server = target.server.another()
    body = sim_map(server, "twin")
    ids = sorted(server.submit(body) for _ in range(8))
    looks = [server.look(one, server.follow(one)) for one in ids]
    [living] = [look for look in looks if look.info["status"] == "done"]
    if not target.live:
        assert living.task_id == ids[0]  # a real JEDI keeps the one it refined first, nearly always the lowest
    for look in (one for one in looks if one is not living):
        assert (look.info["status"], look.info["taskName"], look.job_ids) == ("aborted", None, [])
        assert look.info["errorDialog"] == f"toabort since there is duplicated task -> jediTaskID={living.task_id}"
        assert look.info["job_execution_params"] is None


@side_by_side
def test_a_spent_name_stays_spent(target: Target) -> None:
    server = target.server.another()
    body = sim_map(server, "spent")
    first = server.submit(body)
    seen = server.follow(first, AT_WORK | FINAL)
    server.post("task/kill", task_id=first)
    server.follow(first, ENDING, seen)
    again = server.submit(body)
    server.follow(again)
    said = server.get("task/get_detailed_info", task_id=again)["data"]
    assert said["errorDialog"] == f"toabort since there is duplicated task -> jediTaskID={first}"


@side_by_side
def test_the_same_name_under_another_user_is_another_task(target: Target) -> None:
    server = target.server.another()
    other = server.another(target.token("valid production of user1"))
    body = sim_map(server, "others")
    ids = [server.submit(body), other.submit(body)]
    assert [server.follow(one)[-1] for one in ids] == ["done", "done"]


@side_by_side
def test_a_task_just_submitted_is_unknown(target: Target) -> None:
    server = target.server.another()
    for _ in range(3):  # JEDI may be at this very moment
        body = sim_map(server, "unknown")
        task_id = server.submit(body)
        known = server.get("task/get_status", task_id=task_id)
        if not known["success"]:
            break
    assert known["message"] == "Task not found"
    assert server.get("task/get_job_ids", task_id=task_id)["data"] == []
    lost = server.post("task/kill", task_id=task_id)
    if (lost["success"], lost["data"]) == (False, 2):  # the kill is lost, the task runs
        assert lost["message"] == f"jediTaskID={task_id} not found"
        assert server.follow(task_id)[-1] == "done"


@side_by_side
def test_commands_in_a_final_state_are_refused_with_their_words(target: Target) -> None:
    server = target.server.another()
    task_id = server.submit(sim_map(server, "final"))
    server.follow(task_id)
    for name in ("kill", "finish", "pause", "resume", "release", "avalanche", "retry"):
        reply = server.post(f"task/{name}", task_id=task_id)
        said = f"Command rejected: the {name} command is not accepted if the task is in done status "
        assert reply == {"success": name == "retry", "message": said, "data": 4}
    reply = server.post("task/increase_attempts", task_id=task_id, increase=1)
    said = "command rejected since status=done or oldStatus=None not in ['running', 'scouting', 'ready']"
    assert reply == {"success": False, "message": said, "data": 2}
    reply = server.post("task/reassign", task_id=task_id, site=server.site)
    said = f"command=reassign is registered for task ID {task_id}. will be executed in a few minutes"
    assert reply == {"success": True, "message": said, "data": 0}
    assert server.post("task/change_priority", task_id=task_id, priority=-1)["message"] == "1 tasks changed"
    assert server.get("task/get_detailed_info", task_id=task_id)["data"]["currentPriority"] == -1


@side_by_side
def test_reload_input_of_a_done_task_ends_in_done_again(target: Target) -> None:
    server = target.server.another()
    task_id = server.submit(sim_map(server, "reload"))
    server.follow(task_id)
    reply = server.post("task/reload_input", task_id=task_id)
    said = f"command=incexec is registered for task ID {task_id}. will be executed in a few minutes"
    assert reply == {"success": True, "message": said, "data": 0}
    seen = server.follow(task_id, {"toincexec", "rerefine", "defined", "ready"})
    assert server.follow(task_id, None, seen)[-1] == "done"
    assert len(server.get("task/get_job_ids", task_id=task_id)["data"]) == 2


@side_by_side
def test_killed_jobs_are_made_again(target: Target) -> None:
    if target.live:  # they must be slow enough to be killed
        skip(NO_FAILURES)
    server = target.server.another()
    task_id = server.submit(sim_map(server, "slow.killjobs", nFiles=2, pfnList=["1003", "1004"]))
    server.follow(task_id, {"running"})
    server.wait_for_jobs(task_id, "running", 2)
    assert server.post("task/kill_unfinished_jobs", task_id=task_id)["data"] == [True, True]
    server.follow(task_id)
    outcome = server.look(task_id, [])
    assert [job["jobStatus"] for job in outcome.attempts] == ["cancelled", "cancelled", "finished", "finished"]
    assert [(job["attemptNr"], job["failedAttempt"]) for job in outcome.attempts[2:]] == [(2, 0), (2, 0)]
    dn = server.get("system/get_user_attributes")["data"]["user_dn_raw"]
    assert outcome.attempts[0]["taskBufferErrorDiag"] == f"killed by {dn}"
    statuses = server.get("job/get_status", job_ids=[job["PandaID"] for job in outcome.attempts])["data"]
    assert statuses[0] == {"command": "tobekilled", "status": "cancelled"}
    assert statuses[-1] == {"command": None, "status": "finished"}


@side_by_side
def test_an_unknown_parent_breaks_or_is_refused(target: Target) -> None:
    server = target.server.another()
    task_id = server.submit({**sim_map(server, "orphan"), "parent_tid": 99999999})
    reply = server.post("task/submit", **sim_map(server, "named", parentTaskName="nope"))
    assert (reply["success"], reply["data"]) == (False, 11)
    assert reply["message"] == f'failed to find parent with user="{server.user}" name=nope'
    assert server.follow(task_id)[-1] == "broken"
    info = server.get("task/get_detailed_info", task_id=task_id)["data"]
    assert info["errorDialog"] == "parent task 99999999 failed to complete"


@side_by_side
def test_a_child_waits_for_its_parent(target: Target) -> None:
    server = target.server.another()
    parent = server.submit(sim_map(server, "slow.parent", pfnList=["1003", "1004"]))
    child = server.submit({**sim_map(server, "child"), "parent_tid": parent})
    seen = server.follow(child, {"pending", *FINAL})
    if seen[-1] == "pending":
        said = server.get("task/get_detailed_info", task_id=child)["data"]["errorDialog"]
        assert said == f"pending until parent task {parent} is done"
    assert server.follow(child, None, seen)[-1] == "done"
    assert server.get("task/get_status", task_id=parent)["data"] == "done"
    assert server.get("task/get_parent_detailed_info", task_id=child)["data"]["jediTaskID"] == parent
    assert target.live or "pending" in seen


@side_by_side
def test_a_child_beside_its_parent_starts_with_twenty_files(target: Target) -> None:
    server = target.server.another()
    body = sim_map(server, "beside.quick", seeds=25)
    body["task_parameters"]["pfnList"][22:] = ["71", "72", "73"]
    parent = server.submit(body)
    server.follow(parent, AT_WORK | FINAL)
    child = server.submit({**reco_map(server, body, noWaitParent=True), "parent_tid": parent})
    seen = server.follow(child, {"pending", *FINAL})
    if seen[-1] == "pending":
        said = server.get("task/get_detailed_info", task_id=child)["data"]["errorDialog"]
        assert said.startswith("insufficient inputs are ready. ")
        assert said.endswith(" files available, 1*20 files required")
    if not target.live:  # where the parent's last jobs can be made slow
        server.follow(child, {"running"}, seen)
        assert server.get("task/get_status", task_id=parent)["data"] == "running"
        assert len(server.get("task/get_job_ids", task_id=child)["data"]) == 20
    assert server.follow(child, None, seen)[-1] == "done"
    outcome = server.look(child, seen)
    assert outcome.info["nFiles"] == len(outcome.jobs) == 25


@side_by_side
def test_attributes_can_be_changed(target: Target) -> None:
    server = target.server.another()
    task_id = server.submit(sim_map(server, "change"))
    server.follow(task_id)
    assert server.post("task/change_attribute", task_id=task_id, attribute_name="ramCount", value=3000)["success"]
    assert server.get("task/get_detailed_info", task_id=task_id)["data"]["ramCount"] == 3000
    reply = server.post("task/change_attribute", task_id=task_id, attribute_name="nosuch", value=1)
    said = "nosuch is not a valid attribute. Valid attributes are ['ramCount', 'wallTime', 'cpuTime', 'coreCount']"
    assert reply == {"success": False, "message": said, "data": None}
    reply = server.post("task/change_split_rule", task_id=task_id, attribute_name="ZZ", value="5")
    assert reply["data"] == 2
    assert server.post("task/change_split_rule", task_id=task_id, attribute_name="TW", value="5")["success"]
    rule = server.get("task/get_detailed_info", task_id=task_id)["data"]["splitRule"]
    assert "t1Weight=5" in rule.split(",")
    assert server.post("task/change_modification_time", task_id=task_id, hour_offset=-1)["message"] == "1 tasks changed"


@side_by_side
def test_without_the_role_a_task_becomes_analysis(target: Target) -> None:
    user = target.without_role()
    body = sim_map(user, "anal")
    task_id = user.submit(body)
    user.follow(task_id, AT_WORK | FINAL)
    info = user.get("task/get_detailed_info", task_id=task_id)["data"]
    assert (info["taskType"], info["taskPriority"], info["userName"]) == ("anal", 1000, user.user)
    assert (info["prodSourceLabel"], info["workingGroup"]) == ("managed", "SPD")
    twin = user.post("task/submit", **body)
    if twin["data"] == 2:
        assert not twin["success"]
        assert twin["message"].startswith(f"jediTaskID={task_id} is in the ")
    user.follow(task_id)
    again = user.post("task/submit", **body)
    assert (again["success"], again["data"]) == (True, task_id)
    assert again["message"].startswith(f"reactivation accepted. jediTaskID={task_id} (currently in ")
    assert again["message"].endswith(" state) will be re-executed with old and/or new input")


@side_by_side
def test_a_foreign_task_is_not_touched_without_the_role(target: Target) -> None:
    server, user = target.server.another(), target.without_role()
    task_id = server.submit(sim_map(server, "foreign"))
    server.follow(task_id, AT_WORK | FINAL)
    if server.user != user.user:
        refused = {"success": False, "message": "not the task owner or no production role", "data": None}
        for name in ("kill", "finish", "retry"):
            assert user.post(f"task/{name}", task_id=task_id) == refused
    assert server.follow(task_id)[-1] == "done"
