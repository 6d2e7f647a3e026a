"""Small, shared acts on the tables: a task's status with its log line, and switches."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import Connection, RowMapping, exists, func, insert, or_, select, update
from sqlalchemy.dialects.postgresql import insert as upsert

from sandbox.panda import tables as t
from sandbox.panda.rhythms import utc_now

FINAL = frozenset({"done", "finished", "failed", "broken", "aborted", "exhausted"})
UNFINISHED_JOB = ("pending", "defined", "assigned", "activated", "throttled", "sent", "starting", "running", "holding")


def set_status(
    connection: Connection, jedi_task_id: int, status: str, reason: str | None = None, **columns: Any
) -> None:
    """Give a task its new status and write the line of the status log; further columns change with it.

    ``hour_back=True`` sets the modification time one hour back, as JEDI does with tasks it generates jobs for.
    """
    now = utc_now()
    hour_back = columns.pop("hour_back", False)
    values = {
        "status": status,
        "modification_time": now - timedelta(hours=1) if hour_back else now,
        "state_change_time": now,
        **columns,
    }
    if reason is not None:
        values["error_dialog"] = reason
    if status in FINAL:
        values.setdefault("end_time", now)
    connection.execute(update(t.task).where(t.task.c.jedi_task_id == jedi_task_id).values(**values))
    connection.execute(insert(t.task_log).values(jedi_task_id=jedi_task_id, status=status, reason=reason, happened=now))


def find_task(connection: Connection, jedi_task_id: int, lock: bool = False) -> RowMapping | None:
    """Row of a task that JEDI knows, or None."""
    query = select(t.task).where(t.task.c.jedi_task_id == jedi_task_id)
    if lock:
        query = query.with_for_update()
    return connection.execute(query).mappings().one_or_none()


def find_status(connection: Connection, jedi_task_id: int) -> str | None:
    """Status of a task that JEDI knows, or None; its map, which may be large, is not read."""
    query = select(t.task.c.status).where(t.task.c.jedi_task_id == jedi_task_id)
    return connection.execute(query).scalar_one_or_none()


def tasks_in(connection: Connection, statuses: Sequence[str]) -> Sequence[RowMapping]:
    """Tasks in one of the statuses, oldest first."""
    query = select(t.task).where(t.task.c.status.in_(statuses)).order_by(t.task.c.jedi_task_id)
    return connection.execute(query).mappings().all()


def tasks_without_jobs(connection: Connection) -> Sequence[RowMapping]:
    """Tasks that may have ended: running or ready ones without an unfinished job, and all those with a goal.

    One query however many tasks there are; the maps of those at work, which may be large, are not read.
    """
    c, j = t.task.c, t.job.c
    busy = exists().where(j.jedi_task_id == c.jedi_task_id, t.IS_UNFINISHED)
    may_have_ended = or_(~busy, c.attributes["goal"].astext.is_not(None))
    query = select(t.task).where(c.status.in_(("running", "ready")), may_have_ended)
    return connection.execute(query.order_by(c.jedi_task_id)).mappings().all()


def datasets_of(connection: Connection, jedi_task_id: int, *types: str) -> Sequence[RowMapping]:
    """Datasets of a task in the order they were made, of the given types or all."""
    query = select(t.dataset).where(t.dataset.c.jedi_task_id == jedi_task_id)
    if types:
        query = query.where(t.dataset.c.type.in_(types))
    return connection.execute(query.order_by(t.dataset.c.dataset_id)).mappings().all()


def master_of(connection: Connection, jedi_task_id: int) -> RowMapping | None:
    """Return the dataset whose files are the task's input slots, or None before refinement."""
    query = select(t.dataset).where(t.dataset.c.jedi_task_id == jedi_task_id, t.dataset.c.master)
    return connection.execute(query).mappings().first()


def count_master_files(connection: Connection, jedi_task_id: int) -> dict[str, int]:
    """Numbers of a task's input slots: total, tobedone, picked, finished, exhausted (all attempts used up)."""
    f, d = t.file.c, t.dataset.c
    spent = f.attempt_nr >= f.max_attempt
    query = (
        select(
            func.count().label("total"),
            func.count().filter(f.status == "ready", ~spent).label("tobedone"),
            func.count().filter(f.status.in_(("picked", "running"))).label("picked"),
            func.count().filter(f.status == "finished").label("finished"),
            func.count().filter(f.status == "ready", spent).label("exhausted"),
        )
        .select_from(t.file.join(t.dataset, f.dataset_id == d.dataset_id))
        .where(d.jedi_task_id == jedi_task_id, d.master)
    )
    return dict(connection.execute(query).mappings().one())


def read_switch(connection: Connection, key: str, default: Any = None) -> Any:
    """Value of a switch (``jedi_paused``, ``scenario``), or the default."""
    value = connection.execute(select(t.control.c.value).where(t.control.c.key == key)).scalar_one_or_none()
    return default if value is None else value


def write_switch(connection: Connection, key: str, value: Any) -> None:
    """Set a switch."""
    statement = upsert(t.control).values(key=key, value=value)
    connection.execute(statement.on_conflict_do_update(index_elements=["key"], set_={"value": value}))
