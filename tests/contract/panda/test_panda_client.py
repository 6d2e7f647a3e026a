"""The unmodified panda-client 2.2 against the server: every function on tasks and jobs, with good and unknown ids."""

from __future__ import annotations

import ast
import copy
import importlib.util
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.contract.panda import recordings
from tests.contract.panda.endpoints import UNKNOWN_ID
from tests.contract.panda.panda_client import PandaClient
from tests.contract.panda.side_by_side import Running
from tests.contract.panda.target import Server
from tests.contract.panda.targets import Target
from tests.contract.panda.translation import renamed

FAILED = [255, None]
NOT_FOUND = f"jediTaskID={UNKNOWN_ID} not found"

WITH_UNKNOWN_ID: dict[str, tuple[list[Any], Any]] = {
    "getTaskStatus": ([UNKNOWN_ID], FAILED),
    "getJediTaskDetails": ([{"jediTaskID": UNKNOWN_ID}, True, True], FAILED),
    "getTaskParamsMap": ([UNKNOWN_ID], FAILED),
    "get_task_details_json": ([UNKNOWN_ID], [0, [False, "Task not found or error retrieving task info"]]),
    "get_parent_detailed_info": ([UNKNOWN_ID], FAILED),
    "getPandaIDsWithTaskID": ([UNKNOWN_ID], [0, []]),
    "get_job_descriptions": ([UNKNOWN_ID], [0, []]),
    "get_files_in_datasets": ([UNKNOWN_ID], FAILED),
    "killTask": ([UNKNOWN_ID], [0, [False, NOT_FOUND]]),
    "finishTask": ([UNKNOWN_ID], [0, [False, NOT_FOUND]]),
    "pauseTask": ([UNKNOWN_ID], [0, [False, NOT_FOUND]]),
    "resumeTask": ([UNKNOWN_ID], [0, [False, NOT_FOUND]]),
    "reload_input": ([UNKNOWN_ID], [0, [False, NOT_FOUND]]),
    "retryTask": ([UNKNOWN_ID], [0, [2, NOT_FOUND]]),
    "increase_attempt_nr": ([UNKNOWN_ID], [0, [False, NOT_FOUND]]),
    "reactivateTask": ([UNKNOWN_ID], [0, [True, 0]]),
    "killJobs": ([[UNKNOWN_ID]], [0, [False]]),
    "getJobIDsJediTasksInTimeRange": (["2026-11-21 00:00:00", "Somebody Else"], [0, {}]),
    "get_tasks_detailed_info_since": ([None, {"taskName": "no.such.task"}], [0, []]),
}
"""Recorded replies (``unknown_ids``, ``listing``) as the client hands them on."""

UNKNOWN_NOT_RECORDED: dict[str, list[Any]] = {
    "getJobStatus": [[UNKNOWN_ID]],
    "getFullJobStatus": [[UNKNOWN_ID]],
    "getUserJobMetadata": [UNKNOWN_ID],
    "setDebugMode": [UNKNOWN_ID, True, False],
}
"""For these only that the client gets an answer."""

ELSEWHERE = {"insertTaskParams", "submitJobs"}
"""Tested below (submission), or with job objects that production does not use (`submitJobs`, see `test_arguments`)."""


def test_every_function_on_tasks_and_jobs_is_tested() -> None:
    spec = importlib.util.find_spec("pandaclient.Client")
    assert spec is not None
    assert spec.origin is not None
    functions = set()
    for node in ast.parse(Path(spec.origin).read_text(encoding="utf-8")).body:
        if not isinstance(node, ast.FunctionDef):
            continue
        keywords = [one for call in node.decorator_list if isinstance(call, ast.Call) for one in call.keywords]
        endpoints = [str(ast.literal_eval(one.value)) for one in keywords if one.arg == "endpoint"]
        if any(one.startswith(("task/", "job/")) for one in endpoints):
            functions.add(node.name.removesuffix("_internal"))
    assert functions == {*WITH_UNKNOWN_ID, *UNKNOWN_NOT_RECORDED, *ELSEWHERE}


@pytest.fixture(scope="module")
def ask(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PandaClient]:
    """Yield the client."""
    client = PandaClient(server, tmp_path_factory.mktemp("pandaclient"))
    yield client
    client.close()


def submit_through_client(target: Target, folder: Path) -> int:
    """Return the id of a task that the client submitted, when it is done."""
    server = target.server.another()
    client = PandaClient(server, folder)
    try:
        params = copy.deepcopy(recordings.submissions("seed_list")[0]["task_parameters"])
        params = renamed(renamed(params, "A1.list", f"client.{time.time_ns()}"), "SPD_LOCAL", server.site)
        params |= {"pfnList": ["40001", "40002"], "nFiles": 2, "vo": server.vo}
        status, answer = client("insertTaskParams", params, properErrorCode=True)
        assert status == 0
        assert answer[0] == 0
        assert answer[1].startswith("succeeded. new jediTaskID=")
        task_id = int(answer[1].rsplit("=", 1)[1])
        server.submitted.add(task_id, server)
        server.follow(task_id)
        return task_id
    finally:
        client.close()


CLIENTS_TASK = "the task of panda-client"


@pytest.fixture(scope="module", autouse=True)
def _task_begins(running: Running, target: Target, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("submitting")
    running.start(CLIENTS_TASK, lambda: submit_through_client(target, folder))


@pytest.fixture
def task(running: Running) -> int:
    """Return the id of a task that the client submitted and that is done."""
    task_id: int = running.result_of(CLIENTS_TASK)
    return task_id


@pytest.mark.parametrize("function", WITH_UNKNOWN_ID)
def test_unknown_ids_are_answered_as_recorded(ask: PandaClient, function: str) -> None:
    arguments, expected = WITH_UNKNOWN_ID[function]
    assert ask(function, *arguments) == expected


@pytest.mark.parametrize("function", UNKNOWN_NOT_RECORDED)
def test_unknown_ids_do_not_hurt_the_client(ask: PandaClient, function: str) -> None:
    assert ask(function, *UNKNOWN_NOT_RECORDED[function])[0] in (0, 255)


def test_status(ask: PandaClient, task: int) -> None:
    assert ask("getTaskStatus", task) == [0, "done"]


def test_details_and_parameters(ask: PandaClient, task: int) -> None:
    status, details = ask("getJediTaskDetails", {"jediTaskID": task}, True, True)
    assert status == 0
    assert details["statistics"] == "finished*2"
    assert len(details["PandaID"]) == 2
    status, params = ask("getTaskParamsMap", task)
    assert status == 0
    assert "nFiles" in json.dumps(params)
    status, (success, info) = ask("get_task_details_json", task)
    assert (status, success) == (0, True)
    assert info["jediTaskID"] == task
    assert info["creationDate"].startswith("20")


def test_jobs(ask: PandaClient, task: int) -> None:
    status, ids = ask("getPandaIDsWithTaskID", task)
    assert status == 0
    assert len(ids) >= 2
    for function in ("getFullJobStatus", "getJobStatus"):
        status, jobs = ask(function, ids)
        assert status == 0
        assert len(jobs) == len(ids)
    status, jobs = ask("get_job_descriptions", task)
    assert status == 0
    assert sum(job["jobStatus"] == "finished" for job in jobs) == 2
    assert ask("getUserJobMetadata", task)[0] in (0, 255)
    assert ask("killJobs", ids) == [0, [False] * len(ids)] or ask("killJobs", ids)[0] == 0


def test_files(ask: PandaClient, task: int) -> None:
    status, datasets = ask("get_files_in_datasets", task, "input,pseudo_input,output")
    assert status == 0
    inputs = [file for one in datasets for file in one["files"] if one["dataset"]["name"] == "pseudo_dataset"]
    assert [file["status"] for file in inputs] == ["finished", "finished"]


@pytest.mark.parametrize("function", ["killTask", "finishTask", "pauseTask", "resumeTask", "retryTask"])
def test_a_refused_command_says_why(ask: PandaClient, task: int, function: str) -> None:
    status, answer = ask(function, task)
    assert status == 0
    assert "is not accepted if the task is in done status" in json.dumps(answer)


def test_lists(ask: PandaClient, task: int, server: Server) -> None:
    since = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(time.time() - 7200))
    status, tasks = ask("getJobIDsJediTasksInTimeRange", since, task_type="managed")
    assert status == 0
    assert str(task) in tasks
    name = server.get("task/get_detailed_info", task_id=task)["data"]["taskName"]
    status, found = ask("get_tasks_detailed_info_since", since, {"taskName": name}, 500)
    assert status == 0
    assert [row["jediTaskID"] for row in found] == [task]


def test_a_task_without_parent_has_no_parents_details(ask: PandaClient, task: int) -> None:
    assert ask("get_parent_detailed_info", task) == FAILED


def test_hello_and_attributes(ask: PandaClient) -> None:
    assert ask("hello")[0] == 0
    status, attributes = ask("get_cert_attributes")
    assert status == 0
    assert isinstance(attributes, dict)


def test_accepted_commands(ask: PandaClient, task: int) -> None:
    status, (success, _) = ask("increase_attempt_nr", task)
    assert (status, success) == (0, False)
    assert ask("reload_input", task) == [0, [True, 0]]
    assert ask("reactivateTask", task)[0] == 0
