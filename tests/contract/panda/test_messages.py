"""Messages on tasks and jobs, as they were pushed to listeners. Recordings: ``events_*``."""

from __future__ import annotations

import json
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from typing import Any

import pytest

from tests.contract.panda import recordings
from tests.contract.panda.replayer import Replayed
from tests.contract.panda.skips import NOT_OURS, skip
from tests.contract.panda.targets import Target

Message = tuple[dict[str, str], dict[str, Any]]
Messages = Callable[[str], dict[int, list[Message]]]
Replays = Callable[[str], list[Replayed]]

SCENARIOS = ("chain_done", "partial_finished", "killed")
ORDER = ("pending", "defined", "activated", "running", "finished", "failed", "cancelled")
"""Statuses of jobs that are told; a server that is quicker than its own rounds may leave one out."""

LATE_S = 15.0
"""The last message may come so long after the status it tells [s]."""


def recorded_messages(scenario: str) -> dict[int, list[Message]]:
    """Recorded messages by recorded task id."""
    found: dict[int, list[Message]] = defaultdict(list)
    for line in (recordings.DATA / f"events_{scenario}.jsonl").read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        found[row["body"]["taskid"]].append((row["headers"], row["body"]))
    return found


@pytest.fixture
def messages(target_name: str, request: pytest.FixtureRequest, replayed: Replays) -> Messages:
    """Return a function from a scenario to its messages by recorded task id."""

    def read(scenario: str) -> dict[int, list[Message]]:
        if target_name == "recordings":
            return recorded_messages(scenario)
        target: Target = request.getfixturevalue("target")
        if target.listener is None:
            skip(NOT_OURS)
        found = {}
        for one in replayed(scenario):
            for recorded, task_id in one.tasks.items():
                end = time.monotonic() + LATE_S
                wanted = states(recorded_messages(scenario)[recorded])
                while states(target.listener.messages(task_id))[: len(wanted)] != wanted and time.monotonic() < end:
                    time.sleep(0.2)
                found[recorded] = target.listener.messages(task_id)
        return found

    return read


def states(found: list[Message]) -> list[str | None]:
    """Statuses of a task in the order of its messages, until the task ended and something began anew."""
    told = [body["status"] for _, body in found if body["msg_type"] == "task_status"]
    return told[: told.index("aborted") + 1] if "aborted" in told else told


def job_states(found: list[Message]) -> dict[int, tuple[str, ...]]:
    """Statuses of each job in the order of its messages."""
    told: dict[int, list[str]] = defaultdict(list)
    for _, body in found:
        if body["msg_type"] == "job_status":
            told[body["jobid"]].append(body["status"])
    return {job: tuple(statuses) for job, statuses in told.items()}


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_a_task_tells_its_statuses_in_the_recorded_order(messages: Messages, scenario: str) -> None:
    got, recorded = messages(scenario), recorded_messages(scenario)
    for task, one in recorded.items():
        wanted = states(one)
        assert states(got[task])[: len(wanted)] == wanted, f"{scenario}: recorded task {task}"


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_jobs_tell_their_statuses_in_the_recorded_order(messages: Messages, target_name: str, scenario: str) -> None:
    got, recorded = messages(scenario), recorded_messages(scenario)
    for task, one in recorded.items():
        told = job_states(got[task])
        if target_name == "recordings":
            assert told == job_states(one)
            continue
        assert all(list(states) == sorted(states, key=ORDER.index) for states in told.values()), told
        if scenario != "killed":  # how far a job was when the kill came is a matter of moments
            ends = (Counter(states[-1] for states in jobs.values()) for jobs in (told, job_states(one)))
            assert next(ends) == next(ends), f"{scenario}: recorded task {task}"


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_messages_have_the_recorded_form(messages: Messages, scenario: str) -> None:
    forms: dict[tuple[str, str | None], set[frozenset[str]]] = defaultdict(set)
    for one in SCENARIOS:
        for recorded in recorded_messages(one).values():
            for _, body in recorded:
                forms[body["msg_type"], body["status"]].add(frozenset(body))
    for found in messages(scenario).values():
        for headers, body in found:
            assert headers["destination"] == "/topic/panda_idds"
            assert int(headers["content-length"]) > 0
            assert isinstance(body["timestamp"], int)
            assert frozenset(body) in forms[body["msg_type"], body["status"]], body
            codes = [value for key, value in body.items() if key.endswith("errorcode")]
            assert all(isinstance(code, int) or code == "NULL" for code in codes), body


def test_the_recorded_messages_agree_with_the_servers_own_log() -> None:
    never = {"registered", "ready", "toretry", "rerefine", "paused", "finishing"}
    for scenario in SCENARIOS:
        for task, found in recorded_messages(scenario).items():
            log = [line[1] for line in recordings.statuses()[scenario][str(task)]["task_status_log"]]
            told = [status for status in states(found) if status is not None]
            assert not set(told) & never
            expected = [status for status in log if status not in never]
            assert all(status in expected for status in told), (scenario, task, told, expected)
