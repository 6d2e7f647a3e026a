"""Commands, twins, lists and odd maps, driven by plain HTTP; side effects included."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from tests.contract.panda import recordings
from tests.contract.panda.conftest import TARGETS
from tests.contract.panda.sandbox_target import Sandbox
from tests.contract.panda.skips import NO_FAILURES, NO_SECOND_TOKEN, NOT_OURS, TOO_SLOW, skip
from tests.contract.panda.target import Server

MapOf = Callable[..., dict[str, Any]]


@pytest.fixture
def sim_map(server: Server) -> MapOf:
    """Return a function that gives a recorded SIM map under a name never used."""

    def make(name: str, seeds: int = 2, **changes: Any) -> dict[str, Any]:
        stamp = f"{name}.{time.time_ns() // 1_000_000}"
        body = _renamed(recordings.submissions("pairing_shift")[0], "A3.lostp", stamp)
        body = _renamed(body, "SPD_LOCAL", server.site)
        listed = [str(seed) for seed in range(500, 500 + seeds)]
        body["task_parameters"] |= {"pfnList": listed, "nFiles": seeds, **changes}
        return body

    return make


def _renamed(value: Any, old: str, new: str) -> Any:
    if isinstance(value, str):
        return value.replace(old, new)
    if isinstance(value, dict):
        return {key: _renamed(one, old, new) for key, one in copy.deepcopy(value).items()}
    return [_renamed(one, old, new) for one in value] if isinstance(value, list) else value


def _sandbox(request: pytest.FixtureRequest, reason: str) -> Sandbox:
    if "live" in TARGETS:
        skip(reason)
    sandbox: Sandbox = request.getfixturevalue("sandbox")
    return sandbox


def test_of_eight_twins_the_lowest_lives(server: Server, sim_map: MapOf) -> None:
    body = sim_map("twin")
    ids = sorted(server.submit(body) for _ in range(8))
    looks = [server.look(one, server.follow(one)) for one in ids]
    assert looks[0].info["status"] == "done"
    for look in looks[1:]:
        assert (look.info["status"], look.info["taskName"], look.job_ids) == ("aborted", None, [])
        assert look.info["errorDialog"] == f"toabort since there is duplicated task -> jediTaskID={ids[0]}"
        assert look.info["job_execution_params"] is None


def test_a_spent_name_stays_spent(server: Server, sim_map: MapOf) -> None:
    body = sim_map("spent")
    first = server.submit(body)
    seen = server.follow(first, {"defined", "ready", "running"})
    server.post("task/kill", task_id=first)
    server.follow(first, {"aborted", "done"}, seen)
    again = server.submit(body)
    server.follow(again)
    said = server.get("task/get_detailed_info", task_id=again)["data"]
    assert said["errorDialog"] == f"toabort since there is duplicated task -> jediTaskID={first}"


def test_the_same_name_under_another_user_is_another_task(
    server: Server, sim_map: MapOf, request: pytest.FixtureRequest
) -> None:
    sandbox, body = _sandbox(request, NO_SECOND_TOKEN), sim_map("others")
    other = Server(server.url, sandbox.issuer.token("user1"), server.origin)
    ids = [server.submit(body), other.submit(body)]
    assert [server.follow(one)[-1] for one in ids] == ["done", "done"]


def test_a_task_just_submitted_is_unknown(server: Server, sim_map: MapOf) -> None:
    body = sim_map("unknown")
    task_id = server.submit(body)
    name = body["task_parameters"]["taskName"]
    assert server.get("task/get_status", task_id=task_id)["message"] == "Task not found"
    found = server.get("task/get_tasks_detailed_info_since", filters=f'{{"taskName": "{name}"}}')
    assert found == {"success": True, "message": "", "data": []}
    assert server.get("task/get_job_ids", task_id=task_id)["data"] == []
    server.follow(task_id)


def test_commands_in_a_final_state_are_refused_with_their_words(server: Server, sim_map: MapOf) -> None:
    task_id = server.submit(sim_map("final"))
    server.follow(task_id)
    for name, called in (("kill", "kill"), ("finish", "finish"), ("pause", "pause"), ("resume", "resume"),
                         ("release", "release"), ("avalanche", "avalanche"), ("retry", "retry")):  # fmt: skip
        reply = server.post(f"task/{name}", task_id=task_id)
        said = f"Command rejected: the {called} command is not accepted if the task is in done status "
        assert reply == {"success": name == "retry", "message": said, "data": 4}
    reply = server.post("task/increase_attempts", task_id=task_id, increase=1)
    said = "command rejected since status=done or oldStatus=None not in ['running', 'scouting', 'ready']"
    assert reply == {"success": False, "message": said, "data": 2}
    reply = server.post("task/reassign", task_id=task_id, site=server.site)
    said = f"command=reassign is registered for task ID {task_id}. will be executed in a few minutes"
    assert reply == {"success": True, "message": said, "data": 0}
    assert server.post("task/change_priority", task_id=task_id, priority=-1)["message"] == "1 tasks changed"
    assert server.get("task/get_detailed_info", task_id=task_id)["data"]["currentPriority"] == -1


def test_reload_input_of_a_done_task_ends_in_done_again(server: Server, sim_map: MapOf) -> None:
    task_id = server.submit(sim_map("reload"))
    server.follow(task_id)
    reply = server.post("task/reload_input", task_id=task_id)
    said = f"command=incexec is registered for task ID {task_id}. will be executed in a few minutes"
    assert reply == {"success": True, "message": said, "data": 0}
    seen = server.follow(task_id, {"toincexec", "rerefine", "defined", "ready"})
    assert server.follow(task_id, None, seen)[-1] == "done"
    assert len(server.get("task/get_job_ids", task_id=task_id)["data"]) == 2


def test_killed_jobs_are_made_again(server: Server, sim_map: MapOf, request: pytest.FixtureRequest) -> None:
    sandbox = _sandbox(request, NO_FAILURES)
    assert sandbox
    body = sim_map("slow.killjobs", nFiles=2, pfnList=["1003", "1004"])
    task_id = server.submit(body)
    server.follow(task_id, {"running"})
    server.wait_for_jobs(task_id, "running", 2)
    assert server.post("task/kill_unfinished_jobs", task_id=task_id)["data"] == [True, True]
    server.follow(task_id)
    outcome = server.look(task_id, [])
    assert [job["jobStatus"] for job in outcome.attempts] == ["cancelled", "cancelled", "finished", "finished"]
    assert [(job["attemptNr"], job["failedAttempt"]) for job in outcome.attempts[2:]] == [(2, 0), (2, 0)]
    assert outcome.attempts[0]["taskBufferErrorDiag"] == "killed by prodmgr/CN=nickname:prodmgr"
    statuses = server.get("job/get_status", job_ids=[job["PandaID"] for job in outcome.attempts])["data"]
    assert statuses[0] == {"command": "tobekilled", "status": "cancelled"}
    assert statuses[-1] == {"command": None, "status": "finished"}


@pytest.mark.parametrize(
    ("changes", "jobs"),
    [
        ({"nEvents": 0}, 1),
        ({"nEvents": -5}, 1),
        ({"nEvents": 10000}, 3),
        ({}, 1),
        ({"nEvents": 8000, "nEventsPerJob": 0}, 1),
    ],
)
def test_events_are_cut_into_jobs(server: Server, sim_map: MapOf, changes: dict[str, Any], jobs: int) -> None:
    body = sim_map("events", nEventsPerJob=4000)
    for key in ("pfnList", "nFiles"):
        del body["task_parameters"][key]
    body["task_parameters"] |= changes
    body["task_parameters"]["jobParameters"][0]["value"] = "simu.C --first=${FIRSTEVENT} --n=${MAXEVENTS}"
    task_id = server.submit(body)
    assert server.follow(task_id)[-1] == "done"
    assert len(server.get("task/get_job_ids", task_id=task_id)["data"]) == jobs


def test_a_number_that_is_a_text_leaves_the_task_defined_for_ever(server: Server, sim_map: MapOf) -> None:
    body = sim_map("text", nEvents="8000", nEventsPerJob=4000)
    for key in ("pfnList", "nFiles"):
        del body["task_parameters"][key]
    task_id = server.submit(body)
    server.follow(task_id, {"defined"})
    time.sleep(1.5)
    assert server.get("task/get_status", task_id=task_id)["data"] == "defined"
    server.post("task/kill", task_id=task_id)
    server.follow(task_id, {"aborted"})


@pytest.mark.parametrize("name", ["", "Тест-µ-名", "a b'c\"d", "x/y/z", "<b>&amp;</b>"])
def test_odd_names_are_accepted(server: Server, sim_map: MapOf, name: str) -> None:
    body = sim_map("odd", uniqueTaskName=False)
    body["task_parameters"]["taskName"] = name
    task_id = server.submit(body)
    assert server.follow(task_id)[-1] == "done"
    assert server.get("task/get_detailed_info", task_id=task_id)["data"]["taskName"] == name
    if "live" not in TARGETS:
        page = httpx.get(f"{server.url}/task/{task_id}", timeout=10).text
        assert "<b>&amp;</b>" not in page


@pytest.mark.parametrize(
    "change", [{"taskName": "x" * 700}, {"vo": None}, {"taskName": None}, {"prodSourceLabel": None}]
)
def test_a_map_that_cannot_be_stored_is_refused_at_once(server: Server, sim_map: MapOf, change: dict[str, Any]) -> None:
    body = sim_map("refused")
    for key, value in change.items():
        del body["task_parameters"][key]
        if value:
            body["task_parameters"][key] = value
    assert server.post("task/submit", **body) == {"success": False, "message": "failed to register task", "data": 4}


def test_an_unknown_parent_breaks_or_is_refused(server: Server, sim_map: MapOf) -> None:
    task_id = server.submit({**sim_map("orphan"), "parent_tid": 99999999})
    assert server.follow(task_id)[-1] == "broken"
    info = server.get("task/get_detailed_info", task_id=task_id)["data"]
    assert info["errorDialog"] == "parent task 99999999 failed to complete"
    reply = server.post("task/submit", **sim_map("named", parentTaskName="nope"))
    assert (reply["success"], reply["data"]) == (False, 11)
    assert reply["message"].endswith('" name=nope')


def test_a_child_waits_for_its_parent(server: Server, sim_map: MapOf) -> None:
    if "live" in TARGETS:
        skip(TOO_SLOW)
    parent = server.submit(sim_map("slow.parent", pfnList=["1003", "1004"]))
    child = server.submit({**sim_map("child"), "parent_tid": parent})
    seen = server.follow(child, {"pending"})
    assert server.get("task/get_detailed_info", task_id=child)["data"]["errorDialog"] == (
        f"pending until parent task {parent} is done"
    )
    assert server.follow(child, None, seen)[-1] == "done"
    assert server.get("task/get_status", task_id=parent)["data"] == "done"
    assert server.get("task/get_parent_detailed_info", task_id=child)["data"]["jediTaskID"] == parent


def test_a_child_beside_its_parent_starts_with_twenty_files(server: Server, sim_map: MapOf) -> None:
    if "live" in TARGETS:
        skip(TOO_SLOW)
    body = sim_map("beside.quick", seeds=25)
    stamp = body["task_parameters"]["taskName"].rsplit(".", 1)[-1]
    body["task_parameters"]["pfnList"][22:] = ["71", "72", "73"]
    parent = server.submit(body)
    reco = _renamed(recordings.submissions("pairing_shift")[1], "A3.lostp", f"beside.quick.{stamp}")
    reco["task_parameters"] |= {"noWaitParent": True}
    server.follow(parent, {"defined", "ready", "running"})
    child = server.submit({**reco, "parent_tid": parent})
    seen = server.follow(child, {"pending"})
    said = server.get("task/get_detailed_info", task_id=child)["data"]["errorDialog"]
    assert said.startswith("insufficient inputs are ready. ")
    assert said.endswith(" files available, 1*20 files required")
    server.follow(child, {"running"}, seen)
    assert server.get("task/get_status", task_id=parent)["data"] == "running"
    assert len(server.get("task/get_job_ids", task_id=child)["data"]) == 20
    assert server.follow(child, None, seen)[-1] == "done"
    outcome = server.look(child, seen)
    assert outcome.info["nFiles"] == len(outcome.jobs) == 25
    assert seen[seen.index("running") :].count("running") == 2


def test_attributes_can_be_changed(server: Server, sim_map: MapOf) -> None:
    task_id = server.submit(sim_map("change"))
    server.follow(task_id)
    assert server.post("task/change_attribute", task_id=task_id, attribute_name="ramCount", value=3000)["success"]
    assert server.get("task/get_detailed_info", task_id=task_id)["data"]["ramCount"] == 3000
    reply = server.post("task/change_attribute", task_id=task_id, attribute_name="nosuch", value=1)
    said = "nosuch is not a valid attribute. Valid attributes are ['ramCount', 'wallTime', 'cpuTime', 'coreCount']"
    assert reply == {"success": False, "message": said, "data": None}
    reply = server.post("task/change_split_rule", task_id=task_id, attribute_name="ZZ", value="5")
    assert reply["data"] == 2
    assert server.post("task/change_split_rule", task_id=task_id, attribute_name="TW", value="5")["success"]
    assert server.post("task/change_modification_time", task_id=task_id, hour_offset=-1)["message"] == "1 tasks changed"


def test_without_the_role_a_task_becomes_analysis(
    server: Server, sim_map: MapOf, request: pytest.FixtureRequest
) -> None:
    sandbox = _sandbox(request, NO_SECOND_TOKEN)
    user = Server(server.url, sandbox.issuer.token("user2", production=False), "spd")
    body = sim_map("anal")
    task_id = user.submit(body)
    user.follow(task_id, {"defined", "ready", "running"})
    info = user.get("task/get_detailed_info", task_id=task_id)["data"]
    assert (info["taskType"], info["taskPriority"], info["userName"]) == ("anal", 1000, "user2")
    assert (info["prodSourceLabel"], info["workingGroup"], info["gshare"]) == ("managed", "SPD", "SPD production")
    twin = user.post("task/submit", **body)
    assert (twin["success"], twin["data"]) == (False, 2)
    assert twin["message"].startswith(f"jediTaskID={task_id} is in the ")
    user.follow(task_id)
    again = user.post("task/submit", **body)
    assert (again["success"], again["data"]) == (True, task_id)
    assert again["message"] == (
        f"reactivation accepted. jediTaskID={task_id} (currently in done state) will be re-executed "
        "with old and/or new input"
    )
    other = Server(server.url, sandbox.issuer.token("user3", production=False), "spd")
    refused = {"success": False, "message": "not the task owner or no production role", "data": None}
    for name in ("kill", "finish", "retry"):
        assert other.post(f"task/{name}", task_id=task_id) == refused


def test_lists_of_tasks(server: Server, sim_map: MapOf) -> None:
    body = sim_map("listed", campaign="LISTED")
    task_id = server.submit(body)
    server.follow(task_id)
    name = body["task_parameters"]["taskName"]
    since = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(time.time() - 7200))
    by_user = server.get("task/get_tasks_modified_since", since=since, prod_source_label="managed")["data"]
    assert list(by_user[str(task_id)]) == list(_recorded_row(full=False))
    full = server.get("task/get_tasks_modified_since", since=since, prod_source_label="managed", full=True)["data"]
    assert list(full[str(task_id)]) == list(_recorded_row(full=True))
    assert server.get("task/get_tasks_modified_since", since=since)["data"] == {}
    assert server.get("task/get_tasks_modified_since", since="yesterday")["data"] == {}
    exact = server.get("task/get_tasks_detailed_info_since", since=since, filters=f'{{"taskName": "{name}"}}')["data"]
    assert [row["jediTaskID"] for row in exact] == [task_id]
    like = server.get("task/get_tasks_detailed_info_since", filters=f'{{"taskName": "%{name[3:]}"}}')["data"]
    assert like == []
    pattern = server.get("task/get_tasks_detailed_info_since", filters='{"taskName": ".*listed.*"}', n_tasks=500)[
        "data"
    ]
    assert task_id in [row["jediTaskID"] for row in pattern]
    number = server.call(
        "GET", "/api/v1/task/get_tasks_detailed_info_since", {"filters": '{"jediTaskID": 48}', "n_tasks": 3}
    )
    assert (number.status_code, number.text) == (500, "argument of type 'int' is not iterable")


def _recorded_row(full: bool) -> dict[str, Any]:
    for call in recordings.calls("listing"):
        if call["path"].endswith("get_tasks_modified_since") and call["query"].get("full") == [str(full).lower()]:
            rows: dict[str, dict[str, Any]] = call["response_body"]["data"]
            return next(row for row in rows.values() if "Task" not in str(row.get("cliParams")))
    raise AssertionError("no such list is recorded")


def test_the_modification_time_lies_an_hour_back_while_jobs_are_made(server: Server, sim_map: MapOf) -> None:
    task_id = server.submit(sim_map("slow.back", pfnList=["1003"], nFiles=1))
    server.follow(task_id, {"running"})
    info = server.get("task/get_detailed_info", task_id=task_id)["data"]
    changed, modified = (info[key]["__datetime__"] for key in ("stateChangeTime", "modificationTime"))
    hours = int(changed[11:13]) - int(modified[11:13])
    assert hours in (1, -23)
    server.follow(task_id)


def test_a_lost_reply_stores_the_task(server: Server, sim_map: MapOf, request: pytest.FixtureRequest) -> None:
    sandbox = _sandbox(request, NOT_OURS)
    body = sim_map("lostreply")
    before = sandbox.scenario.read_text()
    sandbox.play(
        {"name": body["task_parameters"]["taskName"], "match": {"task": "lostreply"}, "lose_reply": {"times": 1}}
    )
    try:
        with pytest.raises(httpx.HTTPError):
            server.post("task/submit", **body)
        twin = server.submit(body)
    finally:
        sandbox.scenario.write_text(before)
    assert server.follow(twin)[-1] == "aborted"
    first = int(server.get("task/get_detailed_info", task_id=twin)["data"]["errorDialog"].rsplit("=", 1)[1])
    assert server.follow(first)[-1] == "done"


def test_a_paused_jedi_refines_nothing_while_the_server_answers(
    server: Server, sim_map: MapOf, request: pytest.FixtureRequest
) -> None:
    _sandbox(request, NOT_OURS)
    assert httpx.post(f"{server.url}/sandbox/jedi/pause", headers={"Origin": "x"}, timeout=5).status_code == 403
    assert httpx.post(f"{server.url}/sandbox/jedi/pause", timeout=5).json() == {"ok": True, "jedi_paused": True}
    try:
        task_id = server.submit(sim_map("paused"))
        time.sleep(1.5)
        assert server.get("task/get_status", task_id=task_id)["message"] == "Task not found"
    finally:
        httpx.post(f"{server.url}/sandbox/jedi/resume", timeout=5)
    assert server.follow(task_id)[-1] == "done"


def test_pages_show_tasks_jobs_and_logs(server: Server, sim_map: MapOf, request: pytest.FixtureRequest) -> None:
    _sandbox(request, NOT_OURS)
    task_id = server.submit(sim_map("pages"))
    server.follow(task_id)
    outcome = server.look(task_id, [])
    assert f"/task/{task_id}" in httpx.get(f"{server.url}/tasks", timeout=10).text
    page = httpx.get(f"{server.url}/task/{task_id}", timeout=10).text
    assert f"/job/{outcome.job_ids[0]}" in page
    assert "4000 events" in httpx.get(f"{server.url}/job/{outcome.job_ids[0]}", timeout=10).text
    assert httpx.get(f"{server.url}/task/99999999", timeout=10).status_code == 404
