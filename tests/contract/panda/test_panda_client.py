"""The unmodified panda-client 2.2 against the server: every function on tasks and jobs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.contract.panda import recordings
from tests.contract.panda.target import Server

Ask = Callable[..., Any]


@pytest.fixture(scope="module")
def ask(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ask]:
    """Yield a function that calls a function of ``pandaclient.Client`` by name."""
    folder = tmp_path_factory.mktemp("pandaclient")
    token = folder / "token"
    token.write_text(server.token)
    environment = {
        **{name: os.environ[name] for name in ("PATH",) if name in os.environ},
        "HOME": str(folder),
        "PANDA_CONFIG_ROOT": str(folder),
        "PANDA_URL": f"{server.url}/server/panda",
        "PANDA_URL_SSL": f"{server.url}/server/panda",
        "PANDACACHE_URL": f"{server.url}/server/panda",
        "PANDA_BEHIND_REAL_LB": "1",
        "PANDA_AUTH": "oidc",
        "PANDA_AUTH_VO": server.origin,
        "OIDC_AUTH_TOKEN_FILE": str(token),
        "PANDA_AUTH_ID_TOKEN": server.token,
    }
    command = [sys.executable, str(Path(__file__).with_name("client_process.py"))]
    process = subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def call(name: str, *args: Any, **kwargs: Any) -> Any:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps([name, args, kwargs]) + "\n")
        process.stdin.flush()
        line = process.stdout.readline()
        assert line, f"panda-client died in {name}"
        return json.loads(line)

    yield call
    assert process.stdin is not None
    process.stdin.close()
    process.wait(timeout=20)


@pytest.fixture(scope="module")
def task(ask: Ask, server: Server) -> int:
    """Return the id of a task that the client submitted and that is done."""
    params = json.loads(json.dumps(recordings.submissions("seed_list")[0]["task_parameters"]))
    text = json.dumps(params).replace("A1.list", f"client.{time.time_ns()}").replace("SPD_LOCAL", server.site)
    params = {**json.loads(text), "pfnList": ["40001", "40002"], "nFiles": 2}
    status, answer = ask("insertTaskParams", params, properErrorCode=True)
    assert status == 0
    assert answer[0] == 0
    assert answer[1].startswith("succeeded. new jediTaskID=")
    task_id = int(answer[1].rsplit("=", 1)[1])
    server.follow(task_id)
    return task_id


def test_status(ask: Ask, task: int) -> None:
    assert ask("getTaskStatus", task) == [0, "done"]
    assert ask("getTaskStatus", 99999999)[0] == 255


def test_details_and_parameters(ask: Ask, task: int) -> None:
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


def test_jobs(ask: Ask, task: int) -> None:
    status, ids = ask("getPandaIDsWithTaskID", task)
    assert status == 0
    assert len(ids) == 2
    status, jobs = ask("getFullJobStatus", ids)
    assert status == 0
    assert len(jobs) == 2
    status, jobs = ask("getJobStatus", ids)
    assert status == 0
    assert len(jobs) == 2
    status, jobs = ask("get_job_descriptions", task)
    assert status == 0
    descriptions = jobs if isinstance(jobs, list) else jobs["data"]
    assert {job["jobStatus"] for job in descriptions} == {"finished"}


def test_files(ask: Ask, task: int) -> None:
    status, datasets = ask("get_files_in_datasets", task, "input,pseudo_input,output")
    assert status == 0
    found = datasets if isinstance(datasets, list) else datasets[1]
    assert {file["status"] for one in found for file in one["files"]} == {"finished"}


@pytest.mark.parametrize("function", ["killTask", "finishTask", "pauseTask", "resumeTask", "retryTask"])
def test_a_refused_command_says_why(ask: Ask, task: int, function: str) -> None:
    status, answer = ask(function, task)
    assert status == 0
    assert "is not accepted if the task is in done status" in json.dumps(answer)


def test_accepted_commands(ask: Ask, task: int) -> None:
    assert ask("reactivateTask", task)[0] == 0
    assert ask("increase_attempt_nr", task)[0] in (0, 255)
    assert ask("reload_input", task) == [0, [True, 0]]


def test_lists(ask: Ask, task: int) -> None:
    since = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(time.time() - 7200))
    status, tasks = ask("getJobIDsJediTasksInTimeRange", since, task_type="managed")
    assert status == 0
    assert str(task) in tasks
    status, tasks = ask("get_tasks_detailed_info_since", since, {"vo": "spd"}, 500)
    assert status == 0
    assert task in [row["jediTaskID"] for row in (tasks if isinstance(tasks, list) else tasks["data"])]


def test_parent(ask: Ask, task: int) -> None:
    answer = ask("get_parent_detailed_info", task)
    assert "No parent task found" in json.dumps(answer) or answer[0] == 255


def test_hello_and_attributes(ask: Ask) -> None:
    assert ask("hello")[0] == 0
    status, attributes = ask("get_cert_attributes")
    assert status == 0
    assert isinstance(attributes, dict)
