"""The refiner's effects: submissions become tasks, twins are aborted, children wait for their parents."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from sqlalchemy import Connection, Engine, RowMapping, func, insert, or_, select, update
from sqlalchemy.exc import DBAPIError

from sandbox.panda import tables as t
from sandbox.panda.catalogue import Catalogue, CatalogueUnavailable
from sandbox.panda.refine import (
    RefinedTask,
    RefineFailed,
    check_common,
    common_attributes,
    plan_datasets,
    refine,
    split_rule,
    uses_scouts,
)
from sandbox.panda.rhythms import Rhythms, utc_now
from sandbox.panda.store import FINAL, find_task, set_status

log = logging.getLogger(__name__)

_GOOD_PARENT = ("done", "finished")


def register_submissions(engine: Engine, rhythms: Rhythms) -> None:
    """Give every waiting submission its row among the tasks: ``registered``, nameless, as JEDI begins."""
    limit = utc_now() - timedelta(seconds=rhythms.unknown_s)
    s = t.submission.c
    with engine.begin() as connection:
        query = select(t.submission).where(s.state == "waiting", s.created <= limit).order_by(s.jedi_task_id)
        for row in connection.execute(query.with_for_update(skip_locked=True)).mappings().all():
            now = utc_now()
            values = {
                "jedi_task_id": row["jedi_task_id"],
                "task_name": str(uuid.uuid4()),
                "user_name": "tobeset",
                "status": "registered",
                "creation_date": row["created"],
                "modification_time": now,
                "state_change_time": now,
                "start_time": now,
                "parent_tid": row["parent_tid"] or row["jedi_task_id"],
                "params": {**row["params"], "userName": row["user_name"]},
            }
            connection.execute(insert(t.task).values(**values))
            connection.execute(
                update(t.submission).where(s.jedi_task_id == row["jedi_task_id"]).values(state="registered")
            )


def refine_registered(engine: Engine, rhythms: Rhythms, vo: str, catalogue: Catalogue) -> None:
    """Refine what is registered, the lowest id first, so that of twins the first one lives."""
    now, c = utc_now(), t.task.c
    with engine.connect() as connection:
        query = select(c.jedi_task_id).where(
            or_(c.status == "registered", c.status == "rerefine"), or_(c.look_again.is_(None), c.look_again <= now)
        )
        waiting = connection.execute(query.order_by(c.jedi_task_id)).scalars().all()
    for jedi_task_id in waiting:
        try:
            unknown = _find_unknown_input(engine, jedi_task_id, catalogue)
        except CatalogueUnavailable as error:
            log.warning("task %s stays registered: %s", jedi_task_id, error)
            continue
        with engine.begin() as connection:
            row = find_task(connection, jedi_task_id, lock=True)
            if row is not None and row["status"] in ("registered", "rerefine"):
                _refine_one(connection, row, rhythms, vo, unknown)


def _find_unknown_input(engine: Engine, jedi_task_id: int, catalogue: Catalogue) -> str | None:
    """Name of the first input dataset the catalogue does not know; asked before any row is locked."""
    with engine.connect() as connection:
        row = find_task(connection, jedi_task_id)
        try:
            plans = plan_datasets(row["params"]) if row else []
        except (KeyError, TypeError, ValueError, AttributeError):
            return None  # the refiner itself will say what is wrong with the map
        names = [plan.name for plan in plans if plan.type == "input"]
        return next((name for name in names if not catalogue.knows(connection, name)), None)


def _refine_one(connection: Connection, row: RowMapping, rhythms: Rhythms, vo: str, unknown: str | None) -> None:
    jedi_task_id, params = row["jedi_task_id"], row["params"]
    if row["status"] == "rerefine":
        set_status(connection, jedi_task_id, "defined", start_time=utc_now(), end_time=None)
        return
    try:
        with connection.begin_nested():
            _read_map(connection, row, rhythms, vo, unknown)
    except RefineFailed as error:
        if error.named:
            _name(connection, jedi_task_id, params)
            _keep_attributes(connection, jedi_task_id, params)
        set_status(connection, jedi_task_id, "tobroken", str(error))
    except (KeyError, TypeError, ValueError, AttributeError, DBAPIError) as error:
        log.exception("task %s: its map cannot be refined", jedi_task_id)
        kind = type(error).__name__
        set_status(connection, jedi_task_id, "tobroken", f"failed to refine task with {kind}:{str(error)[:300]}")


def _read_map(connection: Connection, row: RowMapping, rhythms: Rhythms, vo: str, unknown: str | None) -> None:
    """Take the map step by step; what has been written is undone when a step fails."""
    jedi_task_id, params = row["jedi_task_id"], row["params"]
    check_common(params, vo)
    _name(connection, jedi_task_id, params)
    twin = _find_twin(connection, jedi_task_id, params)
    refined = refine(params, params["userName"])
    if twin is not None:
        _write_attributes(connection, jedi_task_id, refined, job_parameters=False)
        reason = f"toabort since there is duplicated task -> jediTaskID={twin}"
        set_status(connection, jedi_task_id, "toabort", reason, task_name=None)
    elif _parent_allows(connection, row, params, rhythms):
        if unknown is not None:
            said = f'doBasicRefine : unknown input dataset "{unknown}"'
            raise RefineFailed(f"{said} failed to refine task with UnknownDatasetError:{said}", named=True)
        _define(connection, jedi_task_id, refined, params)


def _keep_attributes(connection: Connection, jedi_task_id: int, params: Mapping[str, Any]) -> None:
    """Keep what JEDI had read of a map that breaks later: the common attributes, no job parameters."""
    attributes = common_attributes(params)
    attributes["splitRule"] = split_rule(params)
    values = {"attributes": attributes, "raw_params": dict(params)}
    connection.execute(update(t.task).where(t.task.c.jedi_task_id == jedi_task_id).values(**values))


def _name(connection: Connection, jedi_task_id: int, params: Mapping[str, Any]) -> None:
    columns = {
        "task_name": params["taskName"],
        "user_name": params["userName"],
        "vo": params["vo"],
        "prod_source_label": params["prodSourceLabel"],
        "task_type": params["taskType"],
        "site": params.get("site"),
        "task_priority": params["taskPriority"],
        "current_priority": params["taskPriority"],
        "attempt_nr": 0,
    }
    connection.execute(update(t.task).where(t.task.c.jedi_task_id == jedi_task_id).values(**columns))


def _find_twin(connection: Connection, jedi_task_id: int, params: Mapping[str, Any]) -> int | None:
    """Lowest task of the same user and name, in any state, that was refined before this one."""
    if not params.get("uniqueTaskName"):
        return None
    c = t.task.c
    query = select(func.min(c.jedi_task_id)).where(
        c.task_name == params["taskName"], c.user_name == params["userName"], c.jedi_task_id != jedi_task_id
    )
    return connection.execute(query).scalar_one_or_none()


def _parent_allows(connection: Connection, row: RowMapping, params: Mapping[str, Any], rhythms: Rhythms) -> bool:
    """Whether the parent is done, or not waited for; otherwise the task is told to wait or to break."""
    jedi_task_id, parent_id = row["jedi_task_id"], row["parent_tid"]
    if parent_id == jedi_task_id:
        return True
    parent = find_task(connection, parent_id)
    announced = connection.execute(
        select(t.submission.c.jedi_task_id).where(t.submission.c.jedi_task_id == parent_id)
    ).first()
    dead = parent["status"] in FINAL and parent["status"] not in _GOOD_PARENT if parent else announced is None
    if dead:
        raise RefineFailed(f"parent task {parent_id} failed to complete", named=True)
    if "noWaitParent" in params or (parent and parent["status"] in _GOOD_PARENT):
        return True
    later = utc_now() + timedelta(seconds=rhythms.pending_s)
    reason = f"pending until parent task {parent_id} is done"
    set_status(connection, jedi_task_id, "pending", reason, look_again=later, old_status="registered")
    return False


def _write_attributes(
    connection: Connection, jedi_task_id: int, refined: RefinedTask, job_parameters: bool = True
) -> None:
    attributes = dict(refined.attributes)
    if not job_parameters:
        attributes["job_execution_params"] = None
    values = {"attributes": attributes, "raw_params": refined.raw_params}
    connection.execute(update(t.task).where(t.task.c.jedi_task_id == jedi_task_id).values(**values))


def _define(connection: Connection, jedi_task_id: int, refined: RefinedTask, params: Mapping[str, Any]) -> None:
    _write_attributes(connection, jedi_task_id, refined)
    for plan in refined.datasets:
        values = {**plan.__dict__, "jedi_task_id": jedi_task_id}
        connection.execute(insert(t.dataset).values(**values))
    scouting = "no_use" if uses_scouts(params) else None
    set_status(
        connection, jedi_task_id, "defined", error_dialog=None, look_again=None, old_status=None, scouting=scouting
    )
