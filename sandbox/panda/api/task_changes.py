"""Endpoints that change numbers of a task at once. Recordings: ``attributes``, ``unknown_ids``."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from sqlalchemy import Connection, update

from sandbox.panda import tables as t
from sandbox.panda.api.calls import Call, endpoint
from sandbox.panda.api.envelope import Reply
from sandbox.panda.rhythms import utc_now
from sandbox.panda.store import find_task, master_of
from sandbox.panda.tasks.outcome import cancel_jobs_of
from sandbox.panda.tasks.split_rule import change_rule

ATTRIBUTES = ["ramCount", "wallTime", "cpuTime", "coreCount"]
SPLIT_RULES = [
    "AI", "TW", "EC", "MF", "NG", "NI", "NF", "ES", "NJ", "AV", "IL", "LI", "LC", "CC", "OT", "UZ", "IM", "NP",
]  # fmt: skip
_CAN_GET_ATTEMPTS = ["running", "scouting", "ready"]
_COUNTED = ("pending", "defined", "assigned", "activated", "throttled", "sent", "starting", "running", "holding")
CHANGED = Reply(True, "1 tasks changed")
UNKNOWN = Reply(False, "Task not found")


def _change(connection: Connection, task_id: int, **values: Any) -> Reply:
    found = connection.execute(update(t.task).where(t.task.c.jedi_task_id == task_id).values(**values))
    return CHANGED if found.rowcount else UNKNOWN


@endpoint("task/change_priority", "POST", production=True)
def change_priority(call: Call, task_id: int, priority: int) -> Reply:
    """Give a task and its waiting jobs another priority; nothing is refused, not even -1 for a done task."""
    with call.engine.begin() as connection:
        j = t.job.c
        connection.execute(
            update(t.job).where(j.jedi_task_id == task_id, j.status.in_(_COUNTED)).values(priority=priority)
        )
        return _change(connection, task_id, current_priority=priority)


@endpoint("task/change_attribute", "POST", production=True)
def change_attribute(call: Call, task_id: int, attribute_name: str, value: int) -> Reply:
    """Set memory, time or cores of a task."""
    if attribute_name not in ATTRIBUTES:
        return Reply(False, f"{attribute_name} is not a valid attribute. Valid attributes are {ATTRIBUTES}")
    key = "walltime" if attribute_name == "wallTime" else attribute_name
    return _merge(call, task_id, {key: value})


@endpoint("task/change_split_rule", "POST", production=True)
def change_split_rule(call: Call, task_id: int, attribute_name: str, value: str) -> Reply:
    """Set a rule of splitting by its two letters; ``NF`` and ``MF`` count for the jobs that are made from now on."""
    if attribute_name not in SPLIT_RULES:
        return Reply(False, f"{attribute_name} is not a valid attribute. Valid attributes are {SPLIT_RULES}", 2)
    with call.engine.begin() as connection:
        row = find_task(connection, task_id, lock=True)
        if row is None:
            return UNKNOWN
        rule = change_rule(row["attributes"].get("splitRule"), attribute_name, value)
        return _change(connection, task_id, attributes={**row["attributes"], "splitRule": rule})


def _merge(call: Call, task_id: int, new: dict[str, Any]) -> Reply:
    with call.engine.begin() as connection:
        row = find_task(connection, task_id, lock=True)
        return _change(connection, task_id, attributes={**row["attributes"], **new}) if row else UNKNOWN


@endpoint("task/change_modification_time", "POST", production=True)
def change_modification_time(call: Call, task_id: int, hour_offset: int) -> Reply:
    """Set the modification time some hours from now."""
    with call.engine.begin() as connection:
        moment = utc_now() + timedelta(hours=max(min(hour_offset, 87600), -87600))
        return _change(connection, task_id, modification_time=moment)


@endpoint("task/increase_attempts", "POST", production=True)
def increase_attempts(call: Call, task_id: int, increase: int) -> Reply:
    """Give unfinished slots more attempts."""
    with call.engine.begin() as connection:
        row = find_task(connection, task_id, lock=True)
        if row is None:
            return Reply(False, f"jediTaskID={task_id} not found", 1)
        status, old = row["status"], row["old_status"]
        if status not in _CAN_GET_ATTEMPTS and old not in _CAN_GET_ATTEMPTS:
            said = f"command rejected since status={status} or oldStatus={old} not in {_CAN_GET_ATTEMPTS}"
            return Reply(False, said, 2)
        master = master_of(connection, task_id)
        f = t.file.c
        waiting = (f.dataset_id == (master["dataset_id"] if master else 0)) & (f.status == "ready")
        spent = connection.execute(
            update(t.file).where(waiting, f.attempt_nr >= f.max_attempt).values(max_attempt=f.max_attempt + increase)
        ).rowcount
        more = connection.execute(
            update(t.file)
            .where(waiting, f.attempt_nr < f.max_attempt, f.attempt_nr > 0)
            .values(max_attempt=f.max_attempt + increase)
        ).rowcount
    return Reply(True, f"increased attemptNr for {spent + more} inputs ({spent} reactivated)", 0)


@endpoint("task/kill_unfinished_jobs", "POST")
def kill_unfinished_jobs(
    call: Call,
    task_id: int,
    code: int | None = None,  # noqa: ARG001 - of the contract
    use_email_as_id: bool = False,  # noqa: ARG001
) -> Reply:
    """Cancel the unfinished jobs; the task makes new ones."""
    with call.engine.begin() as connection:
        killed = cancel_jobs_of(connection, task_id, f"killed by {call.user.dn}")
    return Reply(data=[True] * len(killed))


@endpoint("task/reassign_global_share", "POST", production=True)
def reassign_global_share(
    call: Call,
    task_id_list: list[int],
    share: str,
    reassign_running_jobs: bool,  # noqa: ARG001
) -> Reply:
    """Move tasks to another global share."""
    for task_id in task_id_list:
        _merge(call, task_id, {"gshare": share})
    return Reply(True, "", 0)


@endpoint("task/enable_jumbo_jobs", "POST", production=True)
def enable_jumbo_jobs(
    call: Call,
    task_id: int,
    jumbo_jobs_total: int,  # noqa: ARG001
    jumbo_jobs_per_site: int | None = None,  # noqa: ARG001
) -> Reply:
    """Jumbo jobs do not exist here; only the refusal of unknown ids is as recorded."""
    with call.engine.connect() as connection:
        row = find_task(connection, task_id)
    return Reply(True, "", 0) if row else Reply(False, "task not found", 2)
