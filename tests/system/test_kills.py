"""Processes are killed while seven requests run: every step is submitted once, and all end as they should.

What happens: an answer to a submission is lost after PanDA stored the task, JEDI stands still for a minute meanwhile;
the triggerer is killed, the scheduler is killed, PanDA's server is killed, a triggerer is frozen for 45 s and wakes up.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import threading
import time

import httpx
import pytest

from prodsys.actions.queries.showing import show_request

REQUESTS = [f"TEST2025-{number:03d}" for number in range(110, 117)]
LONGEST_S = 600
FROZEN_S, PAUSED_S = 45, 60


@pytest.fixture(scope="module")
def scenario(stack, demo):
    """The answers to the first request's SIM and to another one's RECO are lost after the work."""
    path = stack.home / "panda" / "scenario.yaml"
    before = path.read_text()
    rules = [
        {"name": "first answer lost", "match": {"task": rf"^{REQUESTS[0]}\.SIM"}, "lose_reply": {"times": 1}},
        {"name": "another answer lost", "match": {"task": rf"^{REQUESTS[3]}\.RECO"}, "lose_reply": {"times": 1}},
    ]
    path.write_text(json.dumps({"description": "kills", "rules": rules}))
    yield
    path.write_text(before)


def launch_all(stack) -> None:
    for request in REQUESTS:
        stack.prodsys(
            "request",
            "clone",
            "PROD2025-013",
            request,
            "--seed-count",
            "2",
            "--events-per-file",
            "10",
            "--as",
            "manager",
        )
        stack.prodsys("request", "plan", request)
        stack.prodsys("request", "approve", request)
    for request in REQUESTS:
        stack.prodsys("request", "launch", request)


def kill(stack, program: str) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(stack.pid(program), signal.SIGKILL)


def freeze(stack, program: str) -> None:
    pid = stack.pid(program)
    os.kill(pid, signal.SIGSTOP)
    time.sleep(FROZEN_S)
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGCONT)


def pause_jedi(stack) -> None:
    stack.prodsys("sandbox", "jedi", "pause")
    time.sleep(PAUSED_S)
    stack.prodsys("sandbox", "jedi", "resume")


def trouble(stack) -> None:
    """Everything that goes wrong, one after the other, while the requests run."""
    pause_jedi(stack)
    kill(stack, "triggerer")
    time.sleep(10)
    kill(stack, "scheduler")
    time.sleep(10)
    kill(stack, "panda-server")
    time.sleep(5)
    kill(stack, "panda-jedi")
    freeze(stack, "triggerer")


@pytest.fixture(scope="module")
def killed(stack, scenario):
    """The seven requests ran through all of it; their pictures."""
    breaker = threading.Thread(target=trouble, args=(stack,))
    breaker.start()
    launch_all(stack)
    ctx = stack.context()
    end = time.monotonic() + LONGEST_S
    while True:
        pictures = [show_request(ctx, request) for request in REQUESTS]
        states = {one["request_id"]: one["state"] for one in pictures}
        if set(states.values()) <= {"complete", "accepted", "failed", "aborted"} and not breaker.is_alive():
            return pictures
        if time.monotonic() > end:
            breaker.join(timeout=120)
            raise AssertionError(f"after {LONGEST_S} s: {states}")
        time.sleep(2)


def panda(stack, path: str, **query: object) -> object:
    settings = stack.settings
    token = (stack.home / "secrets" / "panda.token").read_text().strip()
    headers = {"Authorization": f"Bearer {token}", "Origin": "spd.production", "Accept": "application/json"}
    reply = httpx.get(f"{settings.need('PANDA_URL')}/api/v1/{path}", params=query, headers=headers, timeout=60)
    return reply.json()["data"]


@pytest.mark.timeout(1200)
def test_all_seven_end_complete(killed):
    ended = {one["request_id"]: (one["state"], one["reason"]) for one in killed}
    assert ended == dict.fromkeys(REQUESTS, ("complete", ""))


@pytest.mark.timeout(300)
def test_exactly_fourteen_tasks_ever_had_jobs_and_nothing_else_was_aborted(stack, killed):
    known = panda(stack, "task/get_tasks_detailed_info_since", n_tasks=1000)
    ours = {task["jedi_task_id"]: task for one in killed for task in one["tasks"]}
    twins = {twin for task in ours.values() for twin in task["twins"]}
    first = min(ours)
    since = [one for one in known if one["jediTaskID"] >= min([first, *twins])]
    with_jobs = {one["jediTaskID"] for one in since if panda(stack, "task/get_job_ids", task_id=one["jediTaskID"])}
    assert with_jobs == set(ours)
    assert len(with_jobs) == 14
    statuses = {one["jediTaskID"]: one["status"] for one in since}
    assert {statuses[one] for one in with_jobs} <= {"done", "finished"}
    without = set(statuses) - with_jobs
    assert {statuses[one] for one in without} <= {"aborted"}
    assert without <= twins  # a twin of a lost answer, and nothing else


def test_each_seed_has_exactly_one_file_of_each_type(killed):
    for one in killed:
        files = {data["did"]: (data["files"], data["closed"]) for data in one["datasets"] if data["kind"] == "dataset"}
        assert set(files.values()) == {(2, True)}
        assert len(files) == 5


def test_the_ledger_and_the_services_agree_afterwards(stack, killed):
    from prodsys.actions.reconciliation.reconciling import reconcile

    assert reconcile(stack.context("robot", "service"), repair=False) == []
