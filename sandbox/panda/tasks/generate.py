"""The job generator: decides which slots become jobs now, and where; `make_jobs` writes the jobs."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta

from sqlalchemy import Connection, Engine, RowMapping, exists, select, text, update

from sandbox.panda import tables as t
from sandbox.panda.rhythms import Rhythms, utc_now
from sandbox.panda.settings import Site
from sandbox.panda.store import count_master_files, find_task, set_status
from sandbox.panda.tasks.brokerage import BrokerageFailed, choose_sites
from sandbox.panda.tasks.feed import BUNCH, parent_works
from sandbox.panda.tasks.make_jobs import JobMaker
from sandbox.panda.tasks.map_faults import SUSPECTS, break_task
from sandbox.panda.tasks.refine import SCOUT_THRESHOLD, SCOUTS
from sandbox.panda.tasks.split_rule import files_per_job

log = logging.getLogger(__name__)

_JOBS_A_CYCLE = 1000
_WORKING = ("ready", "running", "scouting")


Blocked = Callable[[str], Mapping[str, str]]
"""From a task's name to the queues that are switched off for it, with the reason."""


def nothing_blocked(task_name: str) -> Mapping[str, str]:  # noqa: ARG001 - one of the functions of this shape
    """No queue is switched off."""
    return {}


def generate_jobs(
    engine: Engine, rhythms: Rhythms, sites: dict[str, Site], monitor_url: str, blocked: Blocked = nothing_blocked
) -> None:
    """Make jobs for every task that has slots to work on."""
    c, f, d = t.task.c, t.file.c, t.dataset.c
    free_slot = (
        exists()
        .where(d.jedi_task_id == c.jedi_task_id, d.master, f.dataset_id == d.dataset_id)
        .where(f.status == "ready", f.attempt_nr < f.max_attempt)
    )
    with engine.connect() as connection:
        query = select(c.jedi_task_id).where(c.status.in_(_WORKING), free_slot)
        waiting = connection.execute(query.order_by(c.current_priority.desc(), c.jedi_task_id)).scalars().all()
    for jedi_task_id in waiting:
        try:
            with engine.begin() as connection:
                row = find_task(connection, jedi_task_id, lock=True)
                if row is not None and row["status"] in _WORKING:
                    _generate(connection, row, rhythms, sites, monitor_url, blocked)
        except SUSPECTS as error:
            break_task(engine, jedi_task_id, "failed to generate jobs", error)


def _generate(
    connection: Connection,
    row: RowMapping,
    rhythms: Rhythms,
    sites: dict[str, Site],
    monitor_url: str,
    blocked: Blocked,
) -> None:
    slots = _slots_to_take(connection, row)
    if not slots:
        return
    scouts = _wants_scouts(connection, row)
    per_job = _files_per_job(row)
    groups = [slots[start : start + per_job] for start in range(0, len(slots), per_job)]
    groups = groups[:SCOUTS] if scouts else groups
    off = blocked(row["task_name"] or "")
    try:
        chosen = choose_sites(connection, len(groups), row["site"], sites, row["attributes"].get("cloud"), off)
    except BrokerageFailed as error:
        _wait_for_queue(connection, row, rhythms, monitor_url, str(error))
        return
    JobMaker(connection, row, scouts).make(groups, chosen)
    _go_on(connection, row, scouts)


def _wait_for_queue(connection: Connection, row: RowMapping, rhythms: Rhythms, monitor_url: str, reason: str) -> None:
    """Put a task that no queue can take now into ``pending``."""
    link = f'<a href="{monitor_url}/cache/jedilog/{row["jedi_task_id"]}">log</a>'
    later = utc_now() + timedelta(seconds=rhythms.pending_s)
    columns = {"look_again": later, "old_status": row["status"], "frozen_time": row["frozen_time"] or utc_now()}
    set_status(connection, row["jedi_task_id"], "pending", f"{link} : {reason}", **columns)


def _go_on(connection: Connection, row: RowMapping, scouts: bool) -> None:
    jedi_task_id = row["jedi_task_id"]
    if scouts:
        attributes = {**row["attributes"], "splitRule": _scout_rule(row, "will_update_requirements")}
        set_status(connection, jedi_task_id, "scouting", hour_back=True, scouting="will", attributes=attributes)
    elif row["status"] == "ready":
        set_status(connection, jedi_task_id, "running", hour_back=True, queued_time=None, frozen_time=None)
    else:
        back = utc_now() - timedelta(hours=1)
        connection.execute(update(t.task).where(t.task.c.jedi_task_id == jedi_task_id).values(modification_time=back))


def _scout_rule(row: RowMapping, use: str) -> str:
    return str(row["attributes"].get("splitRule", "")).replace("useScout=no_use", f"useScout={use}")


def _files_per_job(row: RowMapping) -> int:
    return files_per_job(row["params"], row["attributes"].get("splitRule"))


def _wants_scouts(connection: Connection, row: RowMapping) -> bool:
    if row["scouting"] != "no_use" or row["status"] != "ready":
        return False
    counts = count_master_files(connection, row["jedi_task_id"])
    return counts["total"] == counts["tobedone"] and counts["total"] // _files_per_job(row) >= SCOUT_THRESHOLD


def _slots_to_take(connection: Connection, row: RowMapping) -> Sequence[RowMapping]:
    f, d = t.file.c, t.dataset.c
    query = (
        select(t.file)
        .join(t.dataset, f.dataset_id == d.dataset_id)
        .where(d.jedi_task_id == row["jedi_task_id"], d.master, f.status == "ready", f.attempt_nr < f.max_attempt)
        .order_by(f.file_id)
        .limit(_JOBS_A_CYCLE * _files_per_job(row))
        .with_for_update(of=t.file)
    )
    if row["status"] == "scouting":
        query = query.where(f.attempt_nr > 0)  # only scouts that failed; the rest waits for their verdict
    slots = connection.execute(query).mappings().all()
    if parent_works(connection, row):
        slots = slots[: len(slots) // BUNCH * BUNCH]
    return slots


def activate_jobs(engine: Engine, rhythms: Rhythms) -> None:
    """Move jobs on: pending, defined, activated, one step each `activate_s`."""
    limit = utc_now() - timedelta(seconds=rhythms.activate_s)
    with engine.begin() as connection:
        for status, following in (("defined", "activated"), ("pending", "defined")):
            connection.execute(
                text(
                    "update job set status = :following, modification_time = :now, state_change_time = :now "
                    "where status = :status and state_change_time <= :limit"
                ),
                {"following": following, "status": status, "now": utc_now(), "limit": limit},
            )
