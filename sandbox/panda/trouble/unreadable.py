"""PanDA's answers when it cannot read a table, and when its jobs have grown old: as recorded (``empty_reads``).

The real server answers a failed read with success and nothing, so these faults change what is told and nothing else:
the tables stay as they are, and when the rule is over everything is there again.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import select

from sandbox.panda import tables as t
from sandbox.panda.api.calls import Call
from sandbox.panda.api.describe_job import JOB_KEYS
from sandbox.panda.api.envelope import LongData, Reply, dump_json
from sandbox.panda.bulk import one_of
from sandbox.panda.trouble.scenario import Rule
from sandbox.panda.trouble.strikes import rules_with

DEEDS = ("unreadable", "aged")
GONE = {"command": "tobekilled", "status": "unknown"}  # as for ids that never were
NO_STATUS = {"command": None, "status": None}
NO_DETAILS = Reply(False, "Task not found or error retrieving the details")
NO_INFO = Reply(False, "Task not found or error retrieving task info")
_SEED = re.compile(r"--seed=(\d+)\b")

JOBS = ("task/get_job_ids", "task/get_job_descriptions")
BY_NUMBER = ("job/get_status", "job/get_description", "job/get_description_incl_archive")
FIXED: dict[str, dict[str, Reply]] = {
    "jobsarchived4": dict.fromkeys(JOBS, Reply(data=[])),
    "jobsactive4": dict.fromkeys(JOBS, Reply(data=[])),
    "filestable4": {},
    "jedi_datasets": {
        "task/get_details": NO_DETAILS,
        "task/get_detailed_info": NO_INFO,
        "task/get_datasets_and_files": Reply(False, "Database exception while gathering files"),
        "task/get_tasks_detailed_info_since": Reply(data=[]),
    },
    "jedi_dataset_contents": {
        "task/get_details": NO_DETAILS,
        "task/get_datasets_and_files": Reply(False, "Database exception while gathering files"),
    },
    "jedi_tasks": {
        "task/get_status": Reply(False, "Task not found"),
        "task/get_detailed_info": NO_INFO,
        "task/get_tasks_modified_since": Reply(data={}),
        "task/get_tasks_detailed_info_since": Reply(False, "Failed to retrieve task IDs"),
    },
}
"""Table that is away -> call -> what is answered, whatever the call asks for."""

WITH_FLAGS = frozenset({"jobsactive4", "jedi_tasks"})
"""Tables without which ``get_details`` fails when it is asked for more than it tells by itself."""


def answer_as_read(call: Call, path: str, arguments: Mapping[str, Any], work: Callable[[], Reply]) -> Reply:
    """Return the reply of a call, as the rules in force let it be read."""
    rules = rules_with(call.scenario.current, call.scenario.moment(), *DEEDS)
    hit = [rule for rule in rules if not rule.match.task or rule.match.hits_task(_task_name(call, path, arguments))]
    if not hit:
        return work()
    for rule in hit:
        if (fixed := _fixed(rule, path, arguments)) is not None:
            return fixed
    reply = work()
    if path not in (*JOBS, *BY_NUMBER) or not reply.success:
        return reply
    return Reply(data=_changed(call, path, arguments, hit, _as_list(reply.data)))


def _fixed(rule: Rule, path: str, arguments: Mapping[str, Any]) -> Reply | None:
    if rule.unreadable is None:
        return None
    table = rule.unreadable.table
    asks_more = arguments.get("include_status") or arguments.get("include_parameters")
    if path == "task/get_details" and table in WITH_FLAGS and asks_more:
        return NO_DETAILS
    return FIXED[table].get(path)


def _task_name(call: Call, path: str, arguments: Mapping[str, Any]) -> str:
    """Name of the task a call is about; of several jobs that of the first; nothing where it is about none."""
    c, j = t.task.c, t.job.c
    wanted = select(c.task_name)
    if path.startswith("job/"):
        ids = list(arguments.get("job_ids") or [0])
        wanted = wanted.join(t.job, j.jedi_task_id == c.jedi_task_id).where(j.panda_id == ids[0])
    else:
        word = str(arguments.get("task_id", ""))
        wanted = wanted.where(c.jedi_task_id == (int(word) if re.fullmatch(r"\d{1,18}", word) else 0))
    with call.engine.connect() as connection:
        return connection.execute(wanted).scalar_one_or_none() or ""


def _as_list(data: Any) -> list[Any]:
    return list(json.loads("".join(data.write(dump_json)))) if isinstance(data, LongData) else list(data)


def _changed(call: Call, path: str, arguments: Mapping[str, Any], rules: Iterable[Rule], rows: list[Any]) -> list[Any]:
    """Return the rows of a call about jobs, one after the other as each rule lets it be read."""
    ids = [_id_of(row, path) for row in rows] if path in JOBS else list(arguments["job_ids"])
    seeds = _seeds(call, ids)
    found: list[Any] = []
    for panda_id, row in zip(ids, rows, strict=True):
        for rule in rules:
            if rule.match.seed is None or rule.match.hits_work(seeds.get(panda_id), ""):
                row = _changed_row(rule, path, panda_id, row)
        if row is not None or path in BY_NUMBER:
            found.append(row)
    return found


def _id_of(row: Any, path: str) -> int:
    return int(row) if path == "task/get_job_ids" else int(row["PandaID"])


def _seeds(call: Call, ids: Sequence[int]) -> dict[int, int]:
    j = t.job.c
    with call.engine.connect() as connection:
        rows = connection.execute(select(j.panda_id, j.parameters).where(one_of(j.panda_id, list(ids)))).all()
    return {panda_id: int(found[1]) for panda_id, text in rows if (found := _SEED.search(text))}


def _changed_row(rule: Rule, path: str, panda_id: int, row: Any) -> Any:
    """Return one row; None where the job is left out, or null stands in its place."""
    if row is None:
        return None
    if rule.unreadable is not None:
        return _unread(rule.unreadable.table, path, panda_id, row)
    how = rule.aged.jobs if rule.aged is not None else ""
    if how == "stripped":
        return row | {"Files": [], "jobParameters": None, "metadata": None} if "description" in path else row
    if path == "job/get_status":
        return GONE
    if how == "archived":
        return None if path == "job/get_description" else row
    return None  # expired, or in no table


def _unread(table: str, path: str, panda_id: int, row: Any) -> Any:
    if table in ("jedi_datasets", "jedi_dataset_contents", "jedi_tasks"):
        return row
    if path == "job/get_status":
        return row if table == "filestable4" else NO_STATUS
    if path == "job/get_description":
        return dict.fromkeys(JOB_KEYS) | {"PandaID": panda_id, "jobStatus": "unknown", "Files": []}
    return row if path == "task/get_job_ids" else None
