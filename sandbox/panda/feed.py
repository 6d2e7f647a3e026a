"""The contents feeder: a defined task gets its input files (or pseudo files) and becomes ready."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import Connection, Engine, RowMapping, insert, or_, select, update

from sandbox.panda import tables as t
from sandbox.panda.catalogue import Catalogue, CatalogueFile, CatalogueRefused, CatalogueUnavailable
from sandbox.panda.refine import plan_slots
from sandbox.panda.rhythms import Rhythms, utc_now
from sandbox.panda.store import FINAL, count_master_files, datasets_of, find_task, master_of, set_status

log = logging.getLogger(__name__)

BUNCH = 20
"""Input files a task with ``noWaitParent`` waits for while its parent works (recording ``chain_pipelined``)."""


def feed_defined(engine: Engine, rhythms: Rhythms, catalogue: Catalogue) -> None:
    """Feed every defined task that is due."""
    c = t.task.c
    with engine.connect() as connection:
        due = or_(c.look_again.is_(None), c.look_again <= utc_now())
        query = select(c.jedi_task_id).where(c.status == "defined", due).order_by(c.jedi_task_id)
        waiting = connection.execute(query).scalars().all()
    for jedi_task_id in waiting:
        try:
            _feed_one(engine, jedi_task_id, rhythms, catalogue)
        except CatalogueUnavailable as error:
            log.warning("task %s stays defined: %s", jedi_task_id, error)
        except CatalogueRefused as error:
            with engine.begin() as connection:
                set_status(connection, jedi_task_id, "tobroken", f"failed to setup task with {error}")


def revive_pending(engine: Engine, rhythms: Rhythms) -> None:
    """Look again at pending tasks whose time has come: they go back to where they waited."""
    c, now = t.task.c, utc_now()
    with engine.begin() as connection:
        query = select(t.task).where(c.status == "pending", c.look_again <= now).with_for_update(skip_locked=True)
        for row in connection.execute(query).mappings().all():
            back = row["old_status"] or "ready"
            waited_for = row["state_change_time"] + timedelta(seconds=rhythms.parent_s)
            look_again = waited_for if back == "registered" else None
            set_status(connection, row["jedi_task_id"], back, look_again=look_again, old_status=None)


def _feed_one(engine: Engine, jedi_task_id: int, rhythms: Rhythms, catalogue: Catalogue) -> None:
    with engine.connect() as connection:
        inputs = datasets_of(connection, jedi_task_id, "input")
        found = {plan["dataset_id"]: catalogue.list_files(connection, plan["name"]) for plan in inputs}
        outputs = [d for d in datasets_of(connection, jedi_task_id, "output", "log") if not d["registered"]]
    if catalogue.registers:
        for plan in outputs:
            catalogue.ensure_dataset(plan["name"])
    with engine.begin() as connection:
        row = find_task(connection, jedi_task_id, lock=True)
        if row is None or row["status"] != "defined":
            return
        _note_registered(connection, outputs)
        if inputs:
            for dataset_id, files in found.items():
                _add_inputs(connection, row, dataset_id, files)
        elif not _add_slots(connection, row):
            return
        _make_ready(connection, row, rhythms)


def _note_registered(connection: Connection, outputs: Sequence[RowMapping]) -> None:
    ids = [plan["dataset_id"] for plan in outputs]
    if ids:
        connection.execute(update(t.dataset).where(t.dataset.c.dataset_id.in_(ids)).values(registered=True))


def max_attempt(params: Mapping[str, Any]) -> int:
    """Attempts a file gets without a person's help; ``disableAutoRetry`` acts by being there."""
    wanted = params.get("maxAttempt", 3)
    return 1 if "disableAutoRetry" in params or not isinstance(wanted, int) else max(wanted, 1)


def _add_inputs(connection: Connection, row: RowMapping, dataset_id: int, files: list[CatalogueFile]) -> None:
    query = select(t.file.c.lfn).where(t.file.c.dataset_id == dataset_id)
    known = set(connection.execute(query).scalars().all())
    params = row["params"]
    values = [
        {
            "dataset_id": dataset_id,
            "jedi_task_id": row["jedi_task_id"],
            "lfn": found.name,
            "scope": found.scope,
            "status": "ready",
            "max_attempt": max_attempt(params),
            "n_events": params.get("nEventsPerInputFile") or found.events,
            "size": found.size,
            "adler32": found.adler32,
            "guid": found.guid,
        }
        for found in sorted(files, key=lambda one: one.name)
        if found.name not in known
    ]
    if values:
        connection.execute(insert(t.file), values)


def _add_slots(connection: Connection, row: RowMapping) -> bool:
    """Make the pseudo files once; False when the map's numbers are no numbers."""
    master = master_of(connection, row["jedi_task_id"])
    slots = plan_slots(row["params"])
    if master is None or slots is None:
        return False
    if count_master_files(connection, row["jedi_task_id"])["total"]:
        return True
    values = [
        {
            "dataset_id": master["dataset_id"],
            "jedi_task_id": row["jedi_task_id"],
            "lfn": lfn,
            "status": "ready",
            "max_attempt": max_attempt(row["params"]),
            "first_event": first,
            "n_events": events,
        }
        for lfn, first, events in slots
    ]
    connection.execute(insert(t.file), values)
    return True


def parent_works(connection: Connection, row: RowMapping) -> bool:
    """Whether a task started beside its parent and the parent is not final yet."""
    if "noWaitParent" not in row["params"] or row["parent_tid"] == row["jedi_task_id"]:
        return False
    parent = find_task(connection, row["parent_tid"])
    return parent is None or parent["status"] not in FINAL


def _make_ready(connection: Connection, row: RowMapping, rhythms: Rhythms) -> None:
    jedi_task_id, now = row["jedi_task_id"], utc_now()
    counts = count_master_files(connection, jedi_task_id)
    needed = BUNCH if parent_works(connection, row) else 1
    if counts["total"] < needed:
        reason = f"insufficient inputs are ready. {counts['total']} files available, 1*{needed} files required"
        later = now + timedelta(seconds=rhythms.pending_s)
        set_status(connection, jedi_task_id, "pending", reason, look_again=later, old_status="defined")
        return
    columns = {"activated_time": now, "queued_time": now, "look_again": None, "error_dialog": None}
    set_status(connection, jedi_task_id, "ready", None, **columns)
