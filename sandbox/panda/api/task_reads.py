"""Endpoints that tell of tasks. Recordings: ``unknown_ids``, ``listing``, ``chain_done``."""

from __future__ import annotations

import json
import re
from datetime import datetime
from typing import Any

from sqlalchemy import Select, cast, false, select
from sqlalchemy import String as SqlText

from sandbox.panda import tables as t
from sandbox.panda.api.calls import Call, endpoint
from sandbox.panda.api.describe_job import describe_many_jobs
from sandbox.panda.api.describe_task import (
    COLUMNS,
    DETAIL_KEYS,
    describe_datasets,
    describe_short,
    describe_task,
    describe_work,
)
from sandbox.panda.api.envelope import Refused, Reply
from sandbox.panda.store import find_status, find_task

_SINCE = "%Y-%m-%d %H:%M:%S"
_REGEX_SIGNS = re.compile(r"[*+?\[\](){}|^$\\]")


@endpoint("task/get_status", "GET")
def get_status(call: Call, task_id: Any) -> Reply:
    """Status of a task, or `Task not found`."""
    text = str(task_id)
    if not re.fullmatch(r"[+-]?\d{1,18}", text):
        return Reply(False, "jediTaskID must be an integer")
    with call.engine.connect() as connection:
        status = find_status(connection, int(text))
    return Reply(data=status) if status else Reply(False, "Task not found")


@endpoint("task/get_details", "GET")
def get_details(call: Call, task_id: int, include_parameters: bool = False, include_status: bool = False) -> Reply:
    """Datasets, slots by state and jobs; of unknown ids empty fields, with flags a failure."""
    with call.engine.connect() as connection:
        row = find_task(connection, task_id)
        if row is None and (include_parameters or include_status):
            return Reply(False, "Task not found or error retrieving the details")
        work = describe_work(connection, task_id)
    if row is not None and include_status:
        work["status"] = row["status"]
    if row is not None and include_parameters:
        work["cliParams"] = ""
    return Reply(data=work)


@endpoint("task/get_detailed_info", "GET")
def get_detailed_info(call: Call, task_id: int) -> Reply:
    """All attributes of a task."""
    with call.engine.connect() as connection:
        row = find_task(connection, task_id)
        if row is None:
            return Reply(False, "Task not found or error retrieving task info")
        return Reply(data=describe_task(connection, row))


@endpoint("task/get_parent_detailed_info", "GET")
def get_parent_detailed_info(call: Call, task_id: int) -> Reply:
    """All attributes of a task's parent."""
    with call.engine.connect() as connection:
        row = find_task(connection, task_id)
        if row is None:
            return Reply(False, "Child task not found")
        parent = find_task(connection, row["parent_tid"]) if row["parent_tid"] != task_id else None
        return Reply(data=describe_task(connection, parent)) if parent else Reply(False, "No parent task found")


@endpoint("task/get_task_parameters", "GET")
def get_task_parameters(call: Call, task_id: int) -> Reply:
    """The submitted map and the user's name; known only once JEDI knows the task."""
    with call.engine.connect() as connection:
        row = find_task(connection, task_id)
    return Reply(data=row["params"]) if row else Reply(False, "Task not found")


@endpoint("task/get_job_ids", "GET")
def get_job_ids(call: Call, task_id: int) -> Reply:
    """All attempts' job ids."""
    with call.engine.connect() as connection:
        query = select(t.job.c.panda_id).where(t.job.c.jedi_task_id == task_id)
        return Reply(data=list(connection.execute(query.order_by(t.job.c.panda_id)).scalars()))


@endpoint("task/get_job_descriptions", "GET")
def get_job_descriptions(call: Call, task_id: int, unsuccessful_only: bool = False) -> Reply:
    """All attempts' jobs with their files; on wish only those that did not finish well."""
    j = t.job.c
    with call.engine.connect() as connection:
        query = select(j.panda_id).where(j.jedi_task_id == task_id)
        if unsuccessful_only:
            query = query.where(j.status.in_(("failed", "cancelled", "closed")))
        ids = connection.execute(query.order_by(j.panda_id)).scalars().all()
    return Reply(data=describe_many_jobs(call.engine, ids))


@endpoint("task/get_datasets_and_files", "GET")
def get_datasets_and_files(
    call: Call,
    task_id: Any,  # untyped in PanDA too: a text reaches the database
    dataset_types: list[str] = ["input", "pseudo_input"],  # noqa: B006 - never changed; the signature is the contract
    dataset_only: bool = False,  # noqa: ARG001 - without effect on the real server too (recording ``chain_done``)
) -> Reply:
    """Datasets of a task with their files."""
    text = str(task_id)
    if not re.fullmatch(r"[+-]?\d{1,18}", text):
        return Reply(False, "Database exception while gathering files")
    found = describe_datasets(call.engine, int(text), dataset_types, False)
    return Reply(data=found) if found else Reply(False, "No data found for the task")


@endpoint("task/get_tasks_modified_since", "GET")
def get_tasks_modified_since(
    call: Call,
    since: str,
    dn: str | None = None,
    full: bool = False,
    min_task_id: int | None = None,
    prod_source_label: str = "user",
) -> Reply:
    """Tasks of one user, keyed by request id; a time that cannot be read finds nothing, as on the real server."""
    moment = _read_since(since)
    if moment is None:
        return Reply(data={})
    c = t.task.c
    user = _user_of(dn) if dn else call.user.name
    query = select(t.task).where(
        c.modification_time >= moment, c.user_name == user, c.prod_source_label == prod_source_label
    )
    if min_task_id is not None:
        query = query.where(c.jedi_task_id > min_task_id)
    found: dict[str, Any] = {}
    with call.engine.connect() as connection:
        for row in connection.execute(query.order_by(c.jedi_task_id)).mappings():
            entry = describe_short(row)
            if full:
                entry |= {**describe_work(connection, row["jedi_task_id"]), "cliParams": ""}
            found[str(row["jedi_task_id"])] = entry
    return Reply(data=found)


def _read_since(since: str) -> datetime | None:
    try:
        return datetime.strptime(since, _SINCE)
    except ValueError:
        return None


def _user_of(dn: str) -> str:
    return dn.split("/CN=", 1)[0].strip()


@endpoint("task/get_tasks_detailed_info_since", "GET")
def get_tasks_detailed_info_since(
    call: Call, since: str | None = None, filters: str | None = None, n_tasks: int = 500
) -> Reply:
    """Tasks of any user by attributes, newest first.

    A value with signs of a regular expression is matched after `n_tasks` rows were taken; a number ends in HTTP 500.
    """
    try:
        wanted = json.loads(filters) if filters else {}
    except ValueError:
        return Reply(False, "filters is not valid JSON")
    if not isinstance(wanted, dict):
        return Reply(False, "filters must be a JSON object")
    moment = _read_since(since) if since else None
    if (since and moment is None) or any(key not in DETAIL_KEYS for key in wanted):
        return Reply(False, "Failed to retrieve task IDs")
    if any(not isinstance(value, str) for value in wanted.values()):
        bad = next(value for value in wanted.values() if not isinstance(value, str))
        raise Refused(500, f"argument of type '{type(bad).__name__}' is not iterable")
    patterns = {key: value for key, value in wanted.items() if _REGEX_SIGNS.search(value)}
    exact = {key: value for key, value in wanted.items() if key not in patterns}
    query = _filtered(moment, exact).order_by(t.task.c.jedi_task_id.desc()).limit(max(n_tasks, 0))
    with call.engine.connect() as connection:
        rows = connection.execute(query).mappings().all()
        described = [describe_task(connection, row) for row in rows]
    return Reply(data=[one for one in described if _matches(one, patterns)])


def _filtered(moment: datetime | None, exact: dict[str, str]) -> Select[Any]:
    query = select(t.task)
    if moment is not None:
        query = query.where(t.task.c.modification_time >= moment)
    for key, value in exact.items():
        column = COLUMNS.get(key)
        if "\x00" in value:
            query = query.where(false())
        elif column:
            query = query.where(cast(t.task.c[column], SqlText) == value)
        else:
            query = query.where(t.task.c.attributes[key].astext == value)
    return query


def _matches(described: dict[str, Any], patterns: dict[str, str]) -> bool:
    try:
        return all(re.search(pattern, str(described.get(key) or "")) for key, pattern in patterns.items())
    except re.error as error:
        raise Refused(500, str(error)) from error
