"""Odd maps, lists of tasks, and what only the sandbox is asked for: lost replies, a paused JEDI."""

from __future__ import annotations

import json
import time
from typing import Any

import httpx
import pytest

from tests.contract.panda import recordings
from tests.contract.panda.failures import RULES
from tests.contract.panda.maps import sim_map, without_list
from tests.contract.panda.outcome import FINAL
from tests.contract.panda.side_by_side import side_by_side
from tests.contract.panda.targets import Target
from tests.contract.panda.translation import STAMP

CUTS: list[tuple[dict[str, Any], int]] = [
    ({"nEvents": 0}, 1),
    ({"nEvents": -5}, 1),
    ({"nEvents": 10000}, 3),
    ({}, 1),
    ({"nEvents": 8000, "nEventsPerJob": 0}, 1),
]


@side_by_side(cases=CUTS)
def test_events_are_cut_into_jobs(target: Target, case: tuple[dict[str, Any], int]) -> None:
    server, (changes, jobs) = target.server.another(), case
    task_id = server.submit(without_list(sim_map(server, "events"), **{"nEventsPerJob": 4000, **changes}))
    assert server.follow(task_id)[-1] == "done"
    assert len(server.get("task/get_job_ids", task_id=task_id)["data"]) == jobs


@side_by_side
def test_a_number_that_is_a_text_leaves_the_task_defined_for_ever(target: Target) -> None:
    server = target.server.another()
    task_id = server.submit(without_list(sim_map(server, "text"), nEvents="8000", nEventsPerJob=4000))
    server.follow(task_id, {"defined", *FINAL})
    for _ in range(6):
        time.sleep(server.poll_s)
        assert server.get("task/get_status", task_id=task_id)["data"] == "defined"
    server.post("task/kill", task_id=task_id)
    server.follow(task_id, {"aborting", "toabort", "aborted"})


@side_by_side(cases=["", "Тест-µ-名", "a b'c\"d", "x/y/z"])
def test_odd_names_are_accepted(target: Target, case: str) -> None:
    server = target.server.another()
    body = sim_map(server, "odd", uniqueTaskName=False)
    name = case and f"{case}.{STAMP}"
    body["task_parameters"]["taskName"] = name
    task_id = server.submit(body)
    assert server.follow(task_id)[-1] == "done"
    assert server.get("task/get_detailed_info", task_id=task_id)["data"]["taskName"] == name


@pytest.mark.parametrize(
    "change", [{"taskName": "x" * 700}, {"vo": None}, {"taskName": None}, {"prodSourceLabel": None}]
)
def test_a_map_that_cannot_be_stored_is_refused_at_once(target: Target, change: dict[str, Any]) -> None:
    body = sim_map(target.server, "refused")
    for key, value in change.items():
        del body["task_parameters"][key]
        if value:
            body["task_parameters"][key] = value
    reply = target.server.post("task/submit", **body)
    assert reply == {"success": False, "message": "failed to register task", "data": 4}


def _recorded_row(full: bool) -> dict[str, Any]:
    for call in recordings.calls("listing"):
        if call["path"].endswith("get_tasks_modified_since") and call["query"].get("full") == [str(full).lower()]:
            rows: dict[str, dict[str, Any]] = call["response_body"]["data"]
            return next(row for row in rows.values() if "Task" not in str(row.get("cliParams")))
    raise AssertionError("no such list is recorded")


@side_by_side
def test_lists_of_tasks_by_time_are_of_one_user_and_label(target: Target) -> None:
    server = target.server.another()
    task_id = server.submit(sim_map(server, "modified"))
    server.follow(task_id)
    lists = "task/get_tasks_modified_since"
    since = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(time.time() - 7200))
    ours = {"since": since, "prod_source_label": "managed", "min_task_id": task_id - 1}
    assert list(server.get(lists, **ours)["data"][str(task_id)]) == list(_recorded_row(full=False))
    assert list(server.get(lists, **ours, full=True)["data"][str(task_id)]) == list(_recorded_row(full=True))
    assert str(task_id) not in server.get(lists, **{**ours, "min_task_id": task_id})["data"]  # above it, not from it on
    assert str(task_id) not in server.get(lists, since=since)["data"]
    assert server.get(lists, **ours, dn="Somebody Else")["data"] == {}
    assert server.get(lists, since="yesterday") == {"success": True, "message": "", "data": {}}


@side_by_side
def test_lists_of_tasks_by_attributes_match_exactly(target: Target) -> None:
    server = target.server.another()
    body = sim_map(server, "listed", campaign="LISTED")
    task_id, name = server.submit(body), body["task_parameters"]["taskName"]
    server.follow(task_id)
    lists = "task/get_tasks_detailed_info_since"
    since = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(time.time() - 7200))
    exact = server.get(lists, since=since, filters=json.dumps({"taskName": name, "campaign": "LISTED"}))["data"]
    assert [row["jediTaskID"] for row in exact] == [task_id]
    assert server.get(lists, filters=json.dumps({"taskName": f"%{name[3:]}"}))["data"] == []
    found = server.get(lists, filters=json.dumps({"taskName": f".*listed.*{STAMP}.*"}), n_tasks=500)["data"]
    assert {row["jediTaskID"] for row in found} <= {task_id}
    assert target.live or len(found) == 1
    query = {"filters": '{"jediTaskID": 48}', "n_tasks": 3}
    number = server.call("GET", f"/api/v1/{lists}", query)
    assert (number.status_code, number.text) == (500, "argument of type 'int' is not iterable")


@side_by_side
def test_the_modification_time_lies_an_hour_back_while_jobs_are_made(target: Target) -> None:
    server = target.server.another()
    task_id = server.submit(sim_map(server, "slow.back", pfnList=["1003"], nFiles=1))
    hours = set()
    while server.status(task_id) not in FINAL:
        info = server.get("task/get_detailed_info", task_id=task_id)["data"] or {}
        if info.get("stateChangeTime") and info.get("modificationTime") and info["status"] in ("ready", "running"):
            changed, modified = (info[key]["__datetime__"] for key in ("stateChangeTime", "modificationTime"))
            hours.add(int(changed[11:13]) - int(modified[11:13]))
        server.clock.check(f"the end of task {task_id}")
        time.sleep(server.poll_s)
    assert hours & {1, -23}


@side_by_side
def test_a_lost_reply_stores_the_task(target: Target) -> None:
    sandbox, server = target.own_sandbox(), target.server.another()
    body = sim_map(server, "lostreply")
    name = body["task_parameters"]["taskName"]
    sandbox.play(*RULES, {"name": name, "match": {"task": "lostreply"}, "lose_reply": {"times": 1}})
    with pytest.raises(httpx.HTTPError):
        server.post("task/submit", **body)
    twin = server.submit(body)
    assert server.follow(twin)[-1] == "aborted"
    first = int(server.get("task/get_detailed_info", task_id=twin)["data"]["errorDialog"].rsplit("=", 1)[1])
    assert server.follow(first)[-1] == "done"


def test_a_paused_jedi_refines_nothing_while_the_server_answers(target: Target) -> None:
    target.own_sandbox()
    server = target.server
    assert httpx.post(f"{server.url}/sandbox/jedi/pause", headers={"Origin": "x"}, timeout=5).status_code == 403
    assert httpx.post(f"{server.url}/sandbox/jedi/pause", timeout=5).json() == {"ok": True, "jedi_paused": True}
    try:
        task_id = server.submit(sim_map(server, "paused"))
        time.sleep(1.5)
        assert server.get("task/get_status", task_id=task_id)["message"] == "Task not found"
    finally:
        httpx.post(f"{server.url}/sandbox/jedi/resume", timeout=5)
    assert server.follow(task_id)[-1] == "done"
