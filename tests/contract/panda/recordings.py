"""The recordings of a real server, as tests read them."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

from tests.contract.panda.outcome import Outcome

DATA = Path(__file__).resolve().parents[2] / "data" / "panda"


def scenarios() -> tuple[str, ...]:
    """Names of all recorded scenarios."""
    return tuple(sorted(path.stem for path in DATA.glob("*.jsonl") if not path.stem.startswith("events_")))


@functools.cache
def calls(scenario: str) -> list[dict[str, Any]]:
    """All calls of a scenario, in their order."""
    lines = (DATA / f"{scenario}.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


@functools.cache
def statuses() -> dict[str, Any]:
    """Statuses of all tasks by scenario and task id."""
    return json.loads((DATA / "statuses.json").read_text(encoding="utf-8"))


def submissions(scenario: str) -> list[dict[str, Any]]:
    """Bodies of the accepted submissions of a scenario, oldest id first."""
    accepted = [
        (call["response_body"]["data"], call["request_body"])
        for call in calls(scenario)
        if call["path"].endswith("task/submit") and _accepted(call)
    ]
    return [body for _, body in sorted(accepted, key=lambda pair: pair[0])]


def _accepted(call: dict[str, Any]) -> bool:
    body = call["response_body"]
    return isinstance(body, dict) and body["success"] and body["message"].startswith("succeeded")


def outcomes(scenario: str) -> list[Outcome]:
    """What became of each accepted task of a scenario, lowest id first."""
    ids = sorted(
        call["response_body"]["data"]
        for call in calls(scenario)
        if call["path"].endswith("task/submit") and _accepted(call)
    )
    return [_outcome(scenario, task_id) for task_id in ids]


def _outcome(scenario: str, task_id: int) -> Outcome:
    outcome = Outcome(task_id)
    for call in calls(scenario):
        if call["query"].get("task_id") != [str(task_id)] or not isinstance(call["response_body"], dict):
            continue
        method, data = call["path"].rsplit("/", 1)[-1], call["response_body"]["data"]
        if not call["response_body"]["success"] or data is None:
            continue
        if method == "get_status" and data not in outcome.statuses[-1:]:
            outcome.statuses.append(data)
        elif method == "get_detailed_info":
            outcome.info = data
        elif method == "get_details":
            outcome.details = {**outcome.details, **data}
        elif method == "get_task_parameters":
            outcome.params = data
        elif method == "get_job_ids":
            outcome.job_ids = data
        elif method == "get_job_descriptions" and call["query"].get("unsuccessful_only") != ["True"]:
            outcome.jobs = data
        elif method == "get_datasets_and_files":
            known = {one["dataset"]["name"]: one for one in outcome.datasets}
            outcome.datasets = list({**known, **{one["dataset"]["name"]: one for one in data}}.values())
    log = statuses().get(scenario, {}).get(str(task_id), {}).get("task_status_log", [])
    outcome.log = [line[1] for line in log]
    return outcome
