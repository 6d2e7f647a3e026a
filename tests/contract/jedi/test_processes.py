"""The settings of this room in the running processes: messages, suffixes, two refiners, a limit of waiting jobs."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner

from sandbox.panda.commands import app
from sandbox.stack.postgres import PostgresHandle
from tests.contract.jedi.conftest import sim_map
from tests.contract.jedi.test_messages import TOPIC, Listener
from tests.contract.panda.sandbox_target import Sandbox, free_port

PATIENCE_S = 60.0


class TellingSandbox(Sandbox):
    """A sandbox that tells listeners what happens."""

    stomp_port = 0


@pytest.fixture(scope="module")
def sandbox(postgres: PostgresHandle, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TellingSandbox]:
    """Yield a sandbox in which everything of this room is switched on."""
    settings = {"STOMP_PORT": str(free_port()), "ATTEMPT_SUFFIX": "true", "REFINERS": "2", "MAX_QUEUED_JOBS": "5"}
    target = TellingSandbox(
        tmp_path_factory.mktemp("jedi"), postgres.create_database("panda_jedi_processes"), speed=20, **settings
    )
    target.stomp_port = int(settings["STOMP_PORT"])
    target.start()
    yield target
    target.stop()


def _call(sandbox: TellingSandbox, method: str, path: str, **arguments: Any) -> Any:
    headers = {"Authorization": f"Bearer {sandbox.issuer.token()}", "Origin": "spd.production"}
    headers["Accept"] = "application/json"
    about = {"json": arguments} if method == "POST" else {"params": arguments}
    return httpx.request(method, f"{sandbox.url}/api/v1/{path}", headers=headers, timeout=30, **about).json()


def _submit(sandbox: TellingSandbox, **changes: Any) -> int:
    return int(_call(sandbox, "POST", "task/submit", task_parameters=sim_map(**changes))["data"])


def _follow(sandbox: TellingSandbox, task_id: int, *until: str) -> list[str]:
    seen: list[str] = []
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        reply = _call(sandbox, "GET", "task/get_status", task_id=task_id)
        if reply["success"] and reply["data"] not in seen[-1:]:
            seen.append(reply["data"])
        if seen[-1:] and seen[-1] in until:
            return seen
        time.sleep(0.05)
    raise AssertionError(f"task {task_id} is in none of {until}: {seen}")


def _listen(sandbox: TellingSandbox) -> Listener:
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            listener = Listener(sandbox.stomp_port)
            break
        except ConnectionRefusedError:
            assert time.monotonic() < deadline, "nobody listens for STOMP"
            time.sleep(0.1)
    listener.connect()
    listener.send("SUBSCRIBE", id="0", destination=TOPIC, receipt="r")
    listener.receive()
    return listener


def test_a_listener_hears_a_task_from_its_definition_to_its_end(sandbox: TellingSandbox) -> None:
    listener = _listen(sandbox)
    task_id = _submit(sandbox, name="heard")
    assert _follow(sandbox, task_id, "done", "failed", "finished")[-1] == "done"
    told: list[dict[str, Any]] = []
    while not told or told[-1].get("status") != "done":
        told.append(json.loads(listener.receive()[2]))
    assert [one["status"] for one in told if one["msg_type"] == "task_status"] == [
        "defined", "running", "prepared", "done",
    ]  # fmt: skip
    jobs = {one["jobid"] for one in told if one["msg_type"] == "job_status"}
    assert len(jobs) == 3
    for job in jobs:
        order = [one["status"] for one in told if one.get("jobid") == job]
        assert (order[0], order[-1]) == ("pending", "finished")


def test_files_have_the_suffix_of_their_attempt(sandbox: TellingSandbox) -> None:
    task_id = _submit(sandbox, name="suffix", seeds=1)
    _follow(sandbox, task_id, "done")
    job = _call(sandbox, "GET", "task/get_job_descriptions", task_id=task_id)["data"][0]
    assert [one["lfn"].split(".S.")[1] for one in job["Files"] if ".S." in one["lfn"]] == ["000001.root.1"]
    assert ".S.000001.root.1 " in job["jobParameters"]


def test_a_task_too_many_is_throttled_and_comes_back(sandbox: TellingSandbox) -> None:
    sandbox.play({"match": {"task": "much"}, "slow": {"wall_s": 20}})
    first = _submit(sandbox, name="much", seeds=30, site="SPD_NARROW", taskPriority=950)
    _follow(sandbox, first, "running")
    second = _submit(sandbox, name="more", seeds=2, site="SPD_NARROW")
    assert "throttled" in _follow(sandbox, second, "throttled")
    info = _call(sandbox, "GET", "task/get_detailed_info", task_id=second)["data"]
    assert (info["superStatus"], info["oldStatus"]) == ("throttled", "ready")
    assert info["errorDialog"].startswith("throttled since too many jobs wait: ")
    assert info["throttledTime"] is not None
    said = f"command=resume is registered for task ID {second}. will be executed in a few minutes"
    assert _call(sandbox, "POST", "task/resume", task_id=second) == {"success": True, "message": said, "data": 0}
    _call(sandbox, "POST", "task/kill", task_id=first)
    assert _follow(sandbox, second, "done")[-1] == "done"


def test_health_and_the_command_tell_what_jedi_does(sandbox: TellingSandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not (jedi := httpx.get(f"{sandbox.url}/health", timeout=10).json()["jedi"])["alive"]:
        assert time.monotonic() < deadline, jedi
        time.sleep(0.2)
    assert {"refine", "generate", "finish", "adder", "messages"} <= {one["name"] for one in jedi["cycles"]}
    assert jedi["trouble"] == {}
    monkeypatch.setenv("PRODSYS_PANDA_URL", sandbox.url)
    shown = CliRunner().invoke(app, ["jedi", "status"])
    assert shown.exit_code == 0
    assert shown.output.startswith("JEDI works, last sign of life ")
    assert "generate" in shown.output
