"""What the monitor's pages show, in few statements each, also for tasks of 100 000 jobs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, Integer, RowMapping, Select, Text, cast, exists, func, select, text

from sandbox.panda import tables as t
from sandbox.panda.store import datasets_of

ROWS_A_PAGE = 200

JOB_FILTERS = {
    "jeditaskid": t.job.c.jedi_task_id,
    "jobstatus": t.job.c.status,
    "computingsite": t.job.c.site,
    "attemptnr": t.job.c.attempt_nr,
}
"""Filters of the job list by their names in BigPanDAmon's addresses."""

TASK_FILTERS = {"status": t.task.c.status, "username": t.task.c.user_name}


def find_tasks(
    connection: Connection, filters: Mapping[str, str], name: str, before: int | None
) -> list[dict[str, Any]]:
    """Newest tasks that fit, a page of them, each with the numbers of its input slots."""
    c = t.task.c
    query = select(t.task).order_by(c.jedi_task_id.desc()).limit(ROWS_A_PAGE)
    for key, value in filters.items():
        query = query.where(TASK_FILTERS[key] == value)
    if name:
        query = query.where(c.task_name.icontains(name, autoescape=True))
    if before is not None:
        query = query.where(c.jedi_task_id < before)
    rows = connection.execute(query).mappings().all()
    slots = _slots_of(connection, [row["jedi_task_id"] for row in rows])
    return [{**row, "slots": slots.get(row["jedi_task_id"], (0, 0, 0))} for row in rows]


def _slots_of(connection: Connection, ids: Sequence[int]) -> dict[int, tuple[int, int, int]]:
    """Input slots by task: all, finished, out of attempts."""
    f, d = t.file.c, t.dataset.c
    spent = (f.status == "ready") & (f.attempt_nr >= f.max_attempt)
    query = (
        select(d.jedi_task_id, func.count(), func.count().filter(f.status == "finished"), func.count().filter(spent))
        .select_from(t.file.join(t.dataset, f.dataset_id == d.dataset_id))
        .where(d.jedi_task_id.in_(ids), d.master)
        .group_by(d.jedi_task_id)
    )
    return {key: (total, good, bad) for key, total, good, bad in connection.execute(query)}


def count_tasks(connection: Connection) -> list[tuple[str, int]]:
    """Numbers of all tasks by status."""
    query = select(t.task.c.status, func.count()).group_by(t.task.c.status).order_by(t.task.c.status)
    return [(status, count) for status, count in connection.execute(query)]


def count_jobs(connection: Connection, jedi_task_id: int, column: str) -> list[tuple[Any, int]]:
    """Numbers of a task's jobs by one of their columns."""
    key = t.job.c[column]
    query = select(key, func.count()).where(t.job.c.jedi_task_id == jedi_task_id).group_by(key).order_by(key)
    return [(name, count) for name, count in connection.execute(query)]


def summarise_errors(connection: Connection, jedi_task_id: int) -> list[dict[str, Any]]:
    """Error codes of a task's jobs, the most frequent first, each with its number, a sample job and that one's text."""
    entries = func.jsonb_each_text(t.job.c.errors).table_valued("key", "value").lateral("entry")
    query = (
        select(entries.c.key, entries.c.value, func.count().label("count"), func.min(t.job.c.panda_id).label("sample"))
        .select_from(t.job.join(entries, text("true")))
        .where(t.job.c.jedi_task_id == jedi_task_id, _is_error(entries.c.key, entries.c.value))
        .group_by(entries.c.key, entries.c.value)
        .order_by(func.count().desc(), entries.c.key)
        .limit(ROWS_A_PAGE)
    )
    rows = connection.execute(query).all()
    texts = dict(
        connection.execute(
            select(t.job.c.panda_id, t.job.c.errors).where(t.job.c.panda_id.in_([row.sample for row in rows]))
        ).all()
    )
    return [
        {
            "name": row.key,
            "code": row.value,
            "count": row.count,
            "panda_id": row.sample,
            "diag": texts[row.sample].get(row.key.replace("Code", "Diag"), ""),
        }
        for row in rows
    ]


def _is_error(key: ColumnElement[str], value: ColumnElement[str]) -> ColumnElement[bool]:
    """Whether a field of a job's errors is a code that says something; ``transExitCode`` counts too."""
    return (key.like("%ErrorCode") | (key == "transExitCode")) & value.is_not(None) & value.not_in(("0", "", "NULL"))


def find_jobs(
    connection: Connection, filters: Mapping[str, str], error: tuple[str, str] | None, after: int, limit: int
) -> Sequence[RowMapping]:
    """Jobs that fit, oldest first, at most `limit` of them after the job number `after`."""
    query = _filtered(filters, error).where(t.job.c.panda_id > after).order_by(t.job.c.panda_id).limit(limit)
    return connection.execute(query).mappings().all()


def _filtered(filters: Mapping[str, str], error: tuple[str, str] | None) -> Select[Any]:
    query = select(t.job)
    for key, value in filters.items():
        column = JOB_FILTERS[key]
        number = isinstance(column.type, Integer)
        query = query.where(column == int(value)) if number else query.where(cast(column, Text) == value)
    if error:
        query = query.where(t.job.c.errors[error[0]].astext == error[1])
    return query


def find_attempts(connection: Connection, panda_id: int) -> Sequence[RowMapping]:
    """All attempts at the input slots of a job, oldest first, itself among them."""
    own, other = t.job_file.alias("own"), t.job_file.alias("other")
    same_slot = (
        exists()
        .where(own.c.panda_id == panda_id, own.c.type.in_(("input", "pseudo_input")))
        .where(own.c.file_id == other.c.file_id, other.c.panda_id == t.job.c.panda_id)
    )
    task_of = select(t.job.c.jedi_task_id).where(t.job.c.panda_id == panda_id).scalar_subquery()
    query = select(t.job).where(t.job.c.jedi_task_id == task_of, same_slot).order_by(t.job.c.panda_id)
    return connection.execute(query.limit(ROWS_A_PAGE)).mappings().all()


def read_history(connection: Connection, jedi_task_id: int) -> Sequence[RowMapping]:
    """Lines of a task's status log."""
    query = select(t.task_log).where(t.task_log.c.jedi_task_id == jedi_task_id).order_by(t.task_log.c.log_id)
    return connection.execute(query).mappings().all()


def read_commands(connection: Connection, jedi_task_id: int) -> Sequence[RowMapping]:
    """Commands people gave for a task."""
    query = select(t.command).where(t.command.c.jedi_task_id == jedi_task_id).order_by(t.command.c.command_id)
    return connection.execute(query).mappings().all()


def read_strikes(connection: Connection, jedi_task_id: int) -> Sequence[RowMapping]:
    """What the scenario did to a task and its jobs, newest first, a page of it."""
    j = t.scenario_journal.c
    query = select(t.scenario_journal).where(j.jedi_task_id == jedi_task_id).order_by(j.entry_id.desc())
    return connection.execute(query.limit(ROWS_A_PAGE)).mappings().all()


def describe_datasets(connection: Connection, jedi_task_id: int) -> list[dict[str, Any]]:
    """Datasets of a task with the numbers of their files by status and their bytes."""
    f = t.file.c
    query = (
        select(f.dataset_id, f.status, func.count(), func.sum(f.size))
        .where(f.jedi_task_id == jedi_task_id)
        .group_by(f.dataset_id, f.status)
        .order_by(f.dataset_id, f.status)
    )
    states: dict[int, list[tuple[str, int]]] = {}
    sizes: dict[int, int] = {}
    for dataset_id, status, count, size in connection.execute(query):
        states.setdefault(dataset_id, []).append((status, count))
        sizes[dataset_id] = sizes.get(dataset_id, 0) + int(size or 0)
    return [
        {**one, "states": states.get(one["dataset_id"], []), "bytes": sizes.get(one["dataset_id"], 0)}
        for one in datasets_of(connection, jedi_task_id)
    ]


def find_files(connection: Connection, dataset_id: int, after: int) -> Sequence[RowMapping]:
    """Files of a dataset in the order they were made, a page of them after the file number `after`."""
    f = t.file.c
    query = select(t.file).where(f.dataset_id == dataset_id, f.file_id > after).order_by(f.file_id)
    return connection.execute(query.limit(ROWS_A_PAGE)).mappings().all()


def count_at_sites(connection: Connection) -> dict[str, dict[str, int]]:
    """Numbers of jobs by queue and status."""
    j = t.job.c
    counts: dict[str, dict[str, int]] = {}
    for site, status, count in connection.execute(select(j.site, j.status, func.count()).group_by(j.site, j.status)):
        counts.setdefault(site, {})[status] = count
    return counts
