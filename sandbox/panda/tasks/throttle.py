"""Tasks that JEDI holds back: ``throttled`` comes back by itself, ``exhausted`` waits for a person.

NOT RECORDED: both follow PanDA's documentation. A task is throttled while too many jobs wait at every queue it may use
(``SANDBOX_PANDA_MAX_QUEUED_JOBS``); it is exhausted when its scouts ran longer than the map allows (``maxWalltime`` or
``walltime``), when it ends incomplete and the map says ``useExhausted``, or when a scenario says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Engine, RowMapping, exists, func, or_, select

from sandbox.panda import tables as t
from sandbox.panda.rhythms import Rhythms, utc_now
from sandbox.panda.settings import Site
from sandbox.panda.store import find_task, set_status
from sandbox.panda.tasks.brokerage import QUEUED_JOB, BrokerageFailed, count_jobs, find_queues
from sandbox.panda.tasks.split_rule import whole

THROTTLED_FROM = ("ready", "running")


def throttle_task(connection: Connection, task: RowMapping, reason: str, until: datetime) -> None:
    """Hold a task back until a moment; its jobs go on."""
    now, attributes = utc_now(), dict(task["attributes"])
    attributes["numThrottled"] = (attributes.get("numThrottled") or 0) + 1
    columns = {"old_status": task["status"], "look_again": until, "throttled_time": now, "attributes": attributes}
    set_status(connection, task["jedi_task_id"], "throttled", reason, **columns)


def release_task(connection: Connection, task: RowMapping, not_before: datetime | None = None) -> None:
    """Let a throttled task go on where it was; it is not throttled again before a moment."""
    back = task["old_status"] or "ready"
    columns: dict[str, Any] = {"old_status": None, "error_dialog": None, "look_again": not_before}
    set_status(connection, task["jedi_task_id"], back, hour_back=back == "running", **columns)


def exhaust_task(connection: Connection, task: RowMapping, reason: str) -> None:
    """Give a task up until a person decides; a ``retry`` goes on without scouts."""
    columns = {"old_status": None, "look_again": None, "scouting": "done", "locked_time": utc_now()}
    set_status(connection, task["jedi_task_id"], "exhausted", reason, **columns)


def throttle_tasks(engine: Engine, rhythms: Rhythms, sites: Mapping[str, Site], limit: int) -> None:
    """Throttle the tasks that want jobs at full queues, and let those go on whose time has come.

    Parameters
    ----------
    limit : int
        Jobs that may wait at a queue; 0 means any number.
    """
    c, now = t.task.c, utc_now()
    with engine.begin() as connection:
        due = select(t.task).where(c.status == "throttled", c.look_again <= now).with_for_update(skip_locked=True)
        for task in connection.execute(due.order_by(c.jedi_task_id)).mappings().all():
            release_task(connection, task)
        queued = count_jobs(connection, QUEUED_JOB) if limit else {}
        full = {name: count for name, count in queued.items() if count >= limit}
        for task in _tasks_with_work(connection) if full else ():
            _throttle_if_full(connection, task, rhythms, sites, full, limit)


def _tasks_with_work(connection: Connection) -> list[RowMapping]:
    """Tasks that would get jobs now, the least important first."""
    c, d, f = t.task.c, t.dataset.c, t.file.c
    slots = (
        select(f.file_id)
        .join(t.dataset, f.dataset_id == d.dataset_id)
        .where(d.jedi_task_id == c.jedi_task_id, d.master, f.status == "ready", f.attempt_nr < f.max_attempt)
    )
    query = select(t.task).where(
        c.status.in_(THROTTLED_FROM), or_(c.look_again.is_(None), c.look_again <= func.timezone("UTC", func.now()))
    )
    return list(connection.execute(query.where(exists(slots)).order_by(c.current_priority)).mappings())


def _throttle_if_full(
    connection: Connection,
    task: RowMapping,
    rhythms: Rhythms,
    sites: Mapping[str, Site],
    full: Mapping[str, int],
    limit: int,
) -> None:
    try:
        queues = find_queues(sites, task["site"], task["attributes"].get("cloud"))
    except BrokerageFailed:
        return  # the job generator says so
    if any(site.name not in full for site in queues):
        return
    locked = find_task(connection, task["jedi_task_id"], lock=True)
    if locked is not None and locked["status"] in THROTTLED_FROM:
        waiting = ", ".join(f"{full[site.name]} at {site.name}" for site in queues)
        reason = f"throttled since too many jobs wait: {waiting}, {limit} allowed"
        throttle_task(connection, locked, reason, utc_now() + timedelta(seconds=rhythms.pending_s))


def scout_verdict(connection: Connection, task: RowMapping) -> str | None:
    """Why a task is exhausted after its scouts, or None: they ran longer than the map allows."""
    params = task["params"]
    limit_s = whole(params.get("maxWalltime")) or whole(params.get("walltime"))
    if limit_s is None:
        return None
    j = t.job.c
    longest = select(func.max(func.extract("epoch", j.end_time - j.start_time))).where(
        j.jedi_task_id == task["jedi_task_id"], j.status == "finished"
    )
    wall_s = float(connection.execute(longest).scalar_one() or 0)
    if wall_s <= limit_s:
        return None
    return f"exhausted since scout jobs ran up to {wall_s:.0f} s while {limit_s} s are allowed for one job"
