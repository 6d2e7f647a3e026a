"""The post-processor: ends scouting, and gives tasks whose work is over their final status, once a cycle.

Not recorded, from PanDA's documentation: ``goal``, ``failGoalUnreached``, ``useExhausted``, ``allowEmptyInput``.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Engine, RowMapping, func, select, update

from sandbox.panda import tables as t
from sandbox.panda.jobs.catalogue import Catalogue, CatalogueRefused, CatalogueUnavailable
from sandbox.panda.rhythms import utc_now
from sandbox.panda.store import (
    UNFINISHED_JOB,
    count_master_files,
    datasets_of,
    find_task,
    set_status,
    tasks_in,
    tasks_without_jobs,
)
from sandbox.panda.tasks.feed import parent_works
from sandbox.panda.tasks.outcome import cancel_jobs_of
from sandbox.panda.tasks.refine import read_goal
from sandbox.panda.tasks.throttle import exhaust_task, scout_verdict

log = logging.getLogger(__name__)

NOTHING_DONE = "failed since no file was successfully processed"


def finish_tasks(engine: Engine, catalogue: Catalogue) -> None:
    """One cycle over all tasks that may have ended."""
    with engine.begin() as connection:
        _assess_running(connection)
        for task in tasks_in(connection, ("scouting",)):
            _judge_scouts(connection, task)
        for task in tasks_without_jobs(connection):
            if not _reach_goal(connection, task):
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
    with engine.begin() as connection:
        for task in tasks_in(connection, ("running", "ready")):
            if _parent_ended(connection, task):
                set_status(connection, task["jedi_task_id"], "defined")


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
        columns = {"activated_time": None, "queued_time": None}
        set_status(connection, jedi_task_id, "tobroken", "no scout jobs succeeded", **columns)
        return
    exhausted = scout_verdict(connection, task)
    if exhausted is not None:
        exhaust_task(connection, task, exhausted)
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
    """Note that a task was looked at, the first time only (``assessmentTime``, ``attributes``)."""
    c = t.task.c
    missing = (c.jedi_task_id == jedi_task_id) & c.assessment_time.is_(None)
    connection.execute(update(t.task).where(missing).values(assessment_time=utc_now()))


def _assess_running(connection: Connection) -> None:
    """All running tasks get the same time, that of the cycle (``odd_input``)."""
    c = t.task.c
    running = c.status.in_(("running", "finishing")) & c.assessment_time.is_(None)
    connection.execute(update(t.task).where(running).values(assessment_time=utc_now()))


def _reach_goal(connection: Connection, task: RowMapping) -> bool:
    """Stop a running task whose goal is reached while work is left; whether it was."""
    goal = read_goal(task["params"])
    if goal is None or task["status"] != "running":
        return False
    jedi_task_id = task["jedi_task_id"]
    counts = count_master_files(connection, jedi_task_id)
    unreached = not counts["total"] or 1000 * counts["finished"] < goal * counts["total"]
    if unreached or counts["finished"] == counts["total"] or not counts["tobedone"] + counts["picked"]:
        return False
    reason = (
        f"goal reached: {counts['finished']} of {counts['total']} inputs are finished, {goal / 10:g} % were asked for"
    )
    set_status(connection, jedi_task_id, "finishing", reason)
    cancel_jobs_of(connection, jedi_task_id, reason)
    pass_task(connection, jedi_task_id, reason)
    return True


def pass_task(connection: Connection, jedi_task_id: int, reason: str) -> None:
    """Close the work of a task: what is not finished by now counts as failed."""
    counts = count_master_files(connection, jedi_task_id)
    _note_failed(connection, jedi_task_id, counts["total"] - counts["finished"])
    set_status(connection, jedi_task_id, "passed", reason, old_status=None, look_again=None)


def _prepare(connection: Connection, task: RowMapping) -> None:
    """Put a task whose slots are all finished or spent into ``prepared``; one whose input grows may be fed again."""
    jedi_task_id = task["jedi_task_id"]
    counts = count_master_files(connection, jedi_task_id)
    if not counts["total"] or counts["tobedone"] or counts["picked"] or _active_jobs(connection, jedi_task_id):
        return
    if parent_works(connection, task):
        return
    if _parent_ended(connection, task) or task["attributes"].get("until_closed"):
        set_status(connection, jedi_task_id, "defined")
        return
    _note_failed(connection, jedi_task_id, counts["exhausted"])
    _assess(connection, jedi_task_id)
    set_status(connection, jedi_task_id, "prepared", activated_time=None, queued_time=None)


def _parent_ended(connection: Connection, task: RowMapping) -> bool:
    """Whether a task beside its parent has to look at its inputs once more, since the parent has ended.

    It does so at once, before it takes what is left of its inputs (``chain_pipelined``, task 102).
    """
    if "noWaitParent" not in task["params"] or task["attributes"].get("fed_after_parent"):
        return False
    return not parent_works(connection, task)


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
    columns: dict[str, Any] = {"locked_time": utc_now(), "queued_time": None, "frozen_time": None}
    if status == "toabort":
        set_status(connection, jedi_task_id, "aborted", said, **columns)
    elif status == "tobroken" and task["user_name"] == "tobeset":
        set_status(connection, jedi_task_id, "broken", "post-process permanently failed", end_time=None, **columns)
    elif status == "tobroken":
        set_status(connection, jedi_task_id, "broken", said, **columns)
    else:
        final, reason = _verdict(task["params"], count_master_files(connection, jedi_task_id), said)
        set_status(connection, jedi_task_id, final, reason, activated_time=None, **columns)


def _verdict(params: Mapping[str, Any], counts: Mapping[str, int], said: str | None) -> tuple[str, str | None]:
    """Return the final status of a task whose work is over, and its errorDialog."""
    finished, total = counts["finished"], counts["total"]
    if not total and params.get("allowEmptyInput"):
        return "finished", said
    if not finished:
        return "failed", f"{said} {NOTHING_DONE}" if said else NOTHING_DONE
    if finished == total:
        return "done", said
    goal = read_goal(params)
    if params.get("failGoalUnreached") and 1000 * finished < (goal or 1000) * total:
        return "failed", f"{f'{said} ' if said else ''}goal not reached"
    if params.get("useExhausted") and goal is None:
        return "exhausted", f"exhausted since {total - finished} of {total} inputs are not finished"
    return "finished", said
