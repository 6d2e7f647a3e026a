"""The contents feeder: a defined task gets its input files (or pseudo files) and becomes ready."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import Connection, Engine, RowMapping, or_, select, update

from sandbox.panda import tables as t
from sandbox.panda.bulk import copy_maps
from sandbox.panda.jobs.catalogue import (
    Catalogue,
    CatalogueFile,
    CatalogueRefused,
    CatalogueUnavailable,
    FilesUnreadable,
)
from sandbox.panda.rhythms import Rhythms, utc_now
from sandbox.panda.store import FINAL, count_master_files, datasets_of, find_task, master_of, set_status
from sandbox.panda.tasks.map_faults import SUSPECTS, break_task
from sandbox.panda.tasks.refine import plan_slots
from sandbox.panda.tasks.split_rule import whole

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
        except FilesUnreadable as error:
            _wait_for_files(engine, jedi_task_id, rhythms, str(error))
        except CatalogueRefused as error:
            with engine.begin() as connection:
                set_status(connection, jedi_task_id, "tobroken", f"failed to setup task with {error}")
        except SUSPECTS as error:
            break_task(engine, jedi_task_id, "failed to make its inputs", error)


def _wait_for_files(engine: Engine, jedi_task_id: int, rhythms: Rhythms, reason: str) -> None:
    """Inputs that cannot be read are looked at again; the reason stays until they can (``stock_ddm``, task 256)."""
    with engine.begin() as connection:
        row = find_task(connection, jedi_task_id, lock=True)
        if row is not None and row["status"] == "defined":
            _wait(connection, row, rhythms, reason, frozen_time=utc_now())


def revive_pending(engine: Engine, rhythms: Rhythms) -> None:
    """Look again at pending tasks whose time has come: they go back to where they waited.

    Their times stay those of the moment they became pending (``chain_pipelined``, task 66). A task that waits for its
    parent looks at it less often; one that a person released looks at once.
    """
    c, now = t.task.c, utc_now()
    with engine.begin() as connection:
        query = select(t.task).where(c.status == "pending", c.look_again <= now).with_for_update(skip_locked=True)
        for row in connection.execute(query).mappings().all():
            back = row["old_status"] or "ready"
            attributes = dict(row["attributes"])
            at_once = attributes.pop("released", False)
            waited_for = row["state_change_time"] + timedelta(seconds=rhythms.parent_s)
            columns = {
                "look_again": waited_for if back == "registered" and not at_once else None,
                "old_status": None,
                "attributes": attributes,
                "state_change_time": row["state_change_time"],
                "modification_time": row["modification_time"],
            }
            set_status(connection, row["jedi_task_id"], back, **columns)


def _feed_one(engine: Engine, jedi_task_id: int, rhythms: Rhythms, catalogue: Catalogue) -> None:
    with engine.connect() as connection:
        before = find_task(connection, jedi_task_id)
        # whether more files may come is asked before the files themselves
        alone = before is not None and not parent_works(connection, before)
        inputs = datasets_of(connection, jedi_task_id, "input")
        still_open = any(catalogue.is_open(connection, plan["name"]) for plan in inputs)
        # the last input first: of several that cannot be read it is named (``stock_ddm``)
        found = {plan["dataset_id"]: catalogue.list_files(connection, plan["name"]) for plan in reversed(inputs)}
        outputs = [d for d in datasets_of(connection, jedi_task_id, "output", "log") if not d["registered"]]
    if catalogue.registers:
        for plan in outputs:
            catalogue.ensure_dataset(plan["name"])
    with engine.begin() as connection:
        row = find_task(connection, jedi_task_id, lock=True)
        if row is None or row["status"] != "defined":
            return
        _note_registered(connection, outputs)
        for plan in inputs:
            _add_inputs(connection, row, plan, found[plan["dataset_id"]])
        if inputs or _add_slots(connection, row):
            attributes = {**row["attributes"], "fed_after_parent": alone}
            _make_ready(connection, {**row, "attributes": attributes}, rhythms, still_open)


def _note_registered(connection: Connection, outputs: Sequence[RowMapping]) -> None:
    ids = [plan["dataset_id"] for plan in outputs]
    if ids:
        connection.execute(update(t.dataset).where(t.dataset.c.dataset_id.in_(ids)).values(registered=True))


def max_attempt(params: Mapping[str, Any]) -> int:
    """Attempts a file gets without a person's help; ``disableAutoRetry`` acts by being there."""
    wanted = params.get("maxAttempt", 3)
    return 1 if "disableAutoRetry" in params or not isinstance(wanted, int) else max(int(wanted), 1)


def _add_inputs(connection: Connection, row: RowMapping, dataset: RowMapping, files: Sequence[CatalogueFile]) -> None:
    """Give a dataset the files that are new in the catalogue; those of the master input become slots."""
    query = select(t.file.c.lfn).where(t.file.c.dataset_id == dataset["dataset_id"])
    known = set(connection.execute(query).scalars().all())
    params = row["params"]
    values = [
        {
            "dataset_id": dataset["dataset_id"],
            "jedi_task_id": row["jedi_task_id"],
            "lfn": found.name,
            "scope": found.scope,
            "status": "ready",
            "max_attempt": max_attempt(params),
            "first_event": first,
            "n_events": events,
            "size": found.size,
            "adler32": found.adler32,
            "guid": found.guid,
        }
        for found in new_files(params, dataset["master"], files, known)
        for first, events in (cut_file(params, found) if dataset["master"] else [(None, found.events)])
    ]
    if values:
        copy_maps(connection, t.file, values)


def new_files(
    params: Mapping[str, Any], master: bool, files: Sequence[CatalogueFile], known: Collection[str]
) -> list[CatalogueFile]:
    """Files to be taken in the order of their names; the map's ``nFiles`` limits those of the master input."""
    ordered = sorted((found for found in files if found.name not in known), key=lambda one: one.name)
    limit = whole(params.get("nFiles")) if master else None
    return ordered if limit is None else ordered[: max(limit - len(known), 0)]


def cut_file(params: Mapping[str, Any], found: CatalogueFile) -> list[tuple[int | None, int | None]]:
    """First event and number of events of each slot that an input file gives.

    Not recorded, from PanDA's documentation: a file with more events than ``nEventsPerJob`` becomes several slots.
    """
    events = whole(params.get("nEventsPerInputFile")) or found.events
    per_job = whole(params.get("nEventsPerJob"))
    if not events or not per_job or per_job >= events:
        return [(None, events)]
    return [(first, min(per_job, events - first)) for first in range(0, events, per_job)]


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
    copy_maps(connection, t.file, values)
    return True


def parent_works(connection: Connection, row: RowMapping | Mapping[str, Any]) -> bool:
    """Whether a task started beside its parent and the parent is not final yet."""
    if "noWaitParent" not in row["params"] or row["parent_tid"] == row["jedi_task_id"]:
        return False
    parent = find_task(connection, row["parent_tid"])
    return parent is None or parent["status"] not in FINAL


def _make_ready(connection: Connection, row: Mapping[str, Any], rhythms: Rhythms, still_open: bool) -> None:
    jedi_task_id, params, now = row["jedi_task_id"], row["params"], utc_now()
    counts = count_master_files(connection, jedi_task_id)
    needed = BUNCH if parent_works(connection, row) else 1
    until_closed = bool(params.get("runUntilClosed")) and still_open
    if until_closed and not counts["tobedone"]:
        _wait(connection, row, rhythms, "waiting until the input dataset is closed")
    elif counts["total"] >= needed:
        columns: dict[str, Any] = {"activated_time": now, "queued_time": now, "look_again": None}
        columns |= {"error_dialog": None, "attributes": {**row["attributes"], "until_closed": until_closed}}
        set_status(connection, jedi_task_id, "ready", None, **columns)
    elif needed == 1 and not still_open:  # not recorded, from PanDA's documentation of allowEmptyInput
        set_status(connection, jedi_task_id, "prepared", "the input dataset is empty")
    else:
        said = f"insufficient inputs are ready. {counts['total']} files available, 1*{needed} files required"
        _wait(connection, row, rhythms, said)


def _wait(
    connection: Connection, row: Mapping[str, Any] | RowMapping, rhythms: Rhythms, reason: str, **columns: Any
) -> None:
    later = utc_now() + timedelta(seconds=rhythms.pending_s)
    set_status(connection, row["jedi_task_id"], "pending", reason, look_again=later, old_status="defined", **columns)
