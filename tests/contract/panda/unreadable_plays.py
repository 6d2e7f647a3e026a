"""Plays on what PanDA cannot read, and on jobs that have grown old: call by call against a real server's recording."""

from __future__ import annotations

import json
from typing import Any

from tests.contract.panda.plays import ON_SERVER, Stage, on_server
from tests.contract.panda.recordings import calls, submissions

RECORDING, TASK = "empty_reads", 246
JOBS = {771: 50001, 772: 50002, 773: 50003}  # recorded job -> seed
_ENDED: dict[str, int] = {}


def ended_task(stage: Stage) -> int:
    """The recorded simulation, played to its end once for all plays at this sandbox."""
    if stage.server.url not in _ENDED:
        [body] = submissions(RECORDING)
        text = json.dumps(body).replace("PROD2025-201", "TEST2025-201")
        outcome = stage.end(stage.server.submit(json.loads(text)))
        assert outcome.info["status"] == "done"
        _ENDED[stage.server.url] = outcome.task_id
    return _ENDED[stage.server.url]


def play_calls(stage: Stage, first_s: float, last_s: float, *rules: dict[str, Any], only: str = "") -> None:
    """The calls of a part of the recording give what they gave there; all of them, or those whose path ends so."""
    in_force = rules or ON_SERVER[stage.name].rules
    stage.sandbox.play()
    mine = ended_task(stage)
    jobs = {
        job["PandaID"]: int(_seed(job)) for job in stage.server.get("task/get_job_descriptions", task_id=mine)["data"]
    }
    stage.sandbox.play(*in_force)
    for line in calls(RECORDING):
        if first_s <= line["t"] <= last_s and line["path"].endswith(only):
            _compare(stage, line, mine, jobs)


def _seed(job: dict[str, Any]) -> str:
    return str(job["jobParameters"]).partition("--seed=")[2].split()[0]


def _compare(stage: Stage, line: dict[str, Any], mine: int, jobs: dict[int, int]) -> None:
    path, seeds = line["path"].removeprefix("/api/v1/"), {seed: job for job, seed in jobs.items()}
    query, body = dict(line["query"]), line["request_body"]
    if "task_id" in query:
        query["task_id"] = mine
    if "min_task_id" in query:
        query["min_task_id"] = mine - 1
    if "filters" in query:
        query["filters"] = query["filters"][0].replace("PROD2025-201", "TEST2025-201")
    if "since" in query:
        query["since"] = "2020-01-01 00:00:00"
    for found in (query, body or {}):
        if "job_ids" in found:
            found["job_ids"] = [seeds[JOBS[int(one)]] for one in found["job_ids"]]
    reply = stage.server.get(path, **query) if line["method"] == "GET" else stage.server.post(path, **body)
    recorded = _reduced(line["response_body"], TASK, JOBS)
    assert _reduced(reply, mine, jobs) == recorded, f"t {line['t']}: {path} {line.get('note') or ''}"


def _reduced(body: dict[str, Any], task: int, jobs: dict[int, int]) -> Any:
    """A reply without what is different in every run: numbers become seeds, names become types."""
    return body["success"], body["message"], _value(body["data"], task, jobs)


def _value(data: Any, task: int, jobs: dict[int, int]) -> Any:
    if isinstance(data, list):
        return sorted((_value(one, task, jobs) for one in data), key=repr)
    if isinstance(data, int):
        return jobs.get(data, data)
    if not isinstance(data, dict):
        return data
    if "jobStatus" in data:
        has = {key: data[key] is not None for key in ("jobParameters", "metadata")}
        types = sorted((one["type"], one["status"] == "unknown") for one in data["Files"])
        return jobs[data["PandaID"]], data["jobStatus"], types, has, sorted(data)
    if "files" in data:
        return data["dataset"]["name"].rpartition(".")[2], sorted(one["status"] for one in data["files"])
    if "nFilesFinished" in data:
        return [data[key] for key in ("status", "nFiles", "nFilesFinished", "nFilesFailed", "pctFinished")]
    if "statistics" in data:
        return data["statistics"], sorted(jobs[one] for one in data["PandaID"]), data.get("status")
    if "pfnList" in data:
        return data["pfnList"]
    if "command" in data:
        return data
    return str(task) in data  # tasks by request id


@on_server("jobs-unreadable")
def jobs_unreadable(stage: Stage) -> None:
    play_calls(stage, 79.1, 79.3)
    play_calls(stage, 123.7, 123.8, {"unreadable": {"table": "jobsactive4"}})


@on_server("job-files-unreadable")
def job_files_unreadable(stage: Stage) -> None:
    """In the recording the table was away for a part of each call: here for one job of three."""
    first, second = ({"match": {"seed": seed}, "unreadable": {"table": "filestable4"}} for seed in (50001, 50002))
    play_calls(stage, 125.5, 125.8, first)
    play_calls(stage, 125.2, 125.3, first, only="job/get_description")
    play_calls(stage, 125.2, 125.3, first, only="job/get_description_incl_archive")
    play_calls(stage, 125.2, 125.3, second, only="task/get_job_descriptions")


@on_server("datasets-unreadable")
def datasets_unreadable(stage: Stage) -> None:
    play_calls(stage, 175.4, 175.6)


@on_server("contents-unreadable")
def contents_unreadable(stage: Stage) -> None:
    play_calls(stage, 179.4, 179.6)


@on_server("tasks-unreadable")
def tasks_unreadable(stage: Stage) -> None:
    play_calls(stage, 183.4, 183.6)


@on_server("jobs-archived")
def jobs_archived(stage: Stage) -> None:
    play_calls(stage, 237.9, 238.45)


@on_server("jobs-older-than-90-days")
def jobs_expired(stage: Stage) -> None:
    play_calls(stage, 238.455, 238.715)


@on_server("jobs-stripped")
def jobs_stripped(stage: Stage) -> None:
    play_calls(stage, 238.728, 239.05)


@on_server("job-in-no-table")
def job_in_no_table(stage: Stage) -> None:
    play_calls(stage, 239.08, 239.45, {"match": {"seed": 50001}, "aged": {"jobs": "lost"}})
    stage.sandbox.play()
    play_calls(stage, 239.455, 239.6, {"match": {"task": "nobody"}, "aged": {"jobs": "lost"}})
