"""The post-processor: ends scouting, and gives tasks whose work is over their final status, once a cycle."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from sqlalchemy import Connection, Engine, RowMapping, func, select, update

from sandbox.panda import tables as t
from sandbox.panda.catalogue import Catalogue, CatalogueRefused, CatalogueUnavailable
from sandbox.panda.feed import parent_works
from sandbox.panda.rhythms import utc_now
from sandbox.panda.store import (
    UNFINISHED_JOB,
    count_master_files,
    datasets_of,
    find_task,
    set_status,
    tasks_in,
)

log = logging.getLogger(__name__)

NOTHING_DONE = "failed since no file was successfully processed"


def finish_tasks(engine: Engine, catalogue: Catalogue) -> None:
    """One cycle over all tasks that may have ended."""
    with engine.begin() as connection:
        for task in tasks_in(connection, ("scouting",)):
            _judge_scouts(connection, task)
        for task in tasks_in(connection, ("running", "ready")):
            _prepare(connection, task)
    with engine.connect() as connection:
        ended = tasks_in(connection, ("prepared", "passed", "toabort", "tobroken"))
    for task in ended:
        try:
            _close_outputs(engine, task, catalogue)
        except CatalogueUnavailable as error:
            log.warning("task %s stays %s: %s", task["jedi_task_id"], task["status"], error)
            continue
        with engine.begin() as connection:
            locked = find_task(connection, task["jedi_task_id"], lock=True)
            if locked is not None and locked["status"] == task["status"]:
                _end(connection, locked)


def _active_jobs(connection: Connection, jedi_task_id: int) -> int:
    j = t.job.c
    query = select(func.count()).where(j.jedi_task_id == jedi_task_id, j.status.in_(UNFINISHED_JOB))
    return connection.execute(query).scalar_one()


def _judge_scouts(connection: Connection, task: RowMapping) -> None:
    jedi_task_id = task["jedi_task_id"]
    counts = count_master_files(connection, jedi_task_id)
    tried = counts["finished"] + counts["exhausted"]
    if _active_jobs(connection, jedi_task_id) or not tried or _scouts_to_repeat(connection, jedi_task_id):
        return
    _assess(connection, jedi_task_id)
    if not counts["finished"]:
        _note_failed(connection, jedi_task_id, counts["exhausted"])
        set_status(connection, jedi_task_id, "tobroken", "no scout jobs succeeded")
        return
    rule = str(task["attributes"].get("splitRule", ""))
    rule = rule.replace("useScout=will_update_requirements", "useScout=updated_requirements")
    attributes = {**task["attributes"], "splitRule": rule}
    set_status(connection, jedi_task_id, "scouted", attributes=attributes, scouting="done")
    set_status(connection, jedi_task_id, "running", hour_back=True)


def _scouts_to_repeat(connection: Connection, jedi_task_id: int) -> int:
    f, d = t.file.c, t.dataset.c
    query = (
        select(func.count())
        .select_from(t.file.join(t.dataset, f.dataset_id == d.dataset_id))
        .where(d.jedi_task_id == jedi_task_id, d.master, f.status == "ready")
        .where(f.attempt_nr > 0, f.attempt_nr < f.max_attempt)
    )
    return connection.execute(query).scalar_one()


def _assess(connection: Connection, jedi_task_id: int) -> None:
    connection.execute(update(t.task).where(t.task.c.jedi_task_id == jedi_task_id).values(assessment_time=utc_now()))


def _prepare(connection: Connection, task: RowMapping) -> None:
    """Put a task whose slots are all finished or spent into ``prepared``; one beside its parent may be fed again."""
    jedi_task_id = task["jedi_task_id"]
    counts = count_master_files(connection, jedi_task_id)
    if not counts["total"] or counts["tobedone"] or counts["picked"] or _active_jobs(connection, jedi_task_id):
        return
    if parent_works(connection, task):
        return
    if "noWaitParent" in task["params"] and not task["attributes"].get("fed_after_parent"):
        attributes = {**task["attributes"], "fed_after_parent": True}
        set_status(connection, jedi_task_id, "defined", attributes=attributes)
        return
    _note_failed(connection, jedi_task_id, counts["exhausted"])
    _assess(connection, jedi_task_id)
    set_status(connection, jedi_task_id, "prepared", activated_time=None, queued_time=None)


def _note_failed(connection: Connection, jedi_task_id: int, failed: int) -> None:
    d = t.dataset.c
    connection.execute(update(t.dataset).where(d.jedi_task_id == jedi_task_id, d.master).values(n_failed=failed))


def _close_outputs(engine: Engine, task: RowMapping, catalogue: Catalogue) -> None:
    """Freeze the registered output datasets, as JEDI does at a task's end."""
    if not catalogue.registers:
        return
    with engine.connect() as connection:
        outputs: Sequence[RowMapping] = datasets_of(connection, task["jedi_task_id"], "output", "log")
    for one in outputs:
        if not one["registered"] or one["closed"]:
            continue
        try:
            catalogue.close_dataset(one["name"])
        except CatalogueRefused as error:
            log.error("dataset %s of task %s cannot be closed: %s", one["name"], task["jedi_task_id"], error)
        with engine.begin() as connection:
            statement = update(t.dataset).where(t.dataset.c.dataset_id == one["dataset_id"])
            connection.execute(statement.values(closed=True))


def _end(connection: Connection, task: RowMapping) -> None:
    """Give the final status; the reason a command left stays in errorDialog."""
    jedi_task_id, status, said = task["jedi_task_id"], task["status"], task["error_dialog"]
    if status == "toabort":
        set_status(connection, jedi_task_id, "aborted", said)
    elif status == "tobroken":
        if task["user_name"] == "tobeset":
            set_status(connection, jedi_task_id, "broken", "post-process permanently failed", end_time=None)
        else:
            set_status(connection, jedi_task_id, "broken", said)
    else:
        counts = count_master_files(connection, jedi_task_id)
        if counts["finished"] and counts["finished"] == counts["total"]:
            set_status(connection, jedi_task_id, "done", said)
        elif counts["finished"]:
            set_status(connection, jedi_task_id, "finished", said)
        else:
            set_status(connection, jedi_task_id, "failed", f"{said} {NOTHING_DONE}" if said else NOTHING_DONE)
