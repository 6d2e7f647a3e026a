"""The refiner's effects: submissions become tasks, twins are aborted, children wait for their parents."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import Connection, Engine, RowMapping, func, insert, or_, select, update
from sqlalchemy.exc import DBAPIError

from sandbox.panda import tables as t
from sandbox.panda.jobs.catalogue import Catalogue, CatalogueUnavailable
from sandbox.panda.rhythms import Rhythms, utc_now
from sandbox.panda.store import FINAL, find_task, set_status
from sandbox.panda.tasks.map_faults import SUSPECTS, break_task
from sandbox.panda.tasks.refine import (
    INSTANTIATES,
    RefinedTask,
    RefineFailed,
    as_templates,
    check_common,
    common_attributes,
    destinations,
    early_attributes,
    plan_datasets,
    refine,
    split_rule,
    uses_scouts,
)

log = logging.getLogger(__name__)

_GOOD_PARENT = ("done", "finished")
_TO_REFINE = ("registered", "rerefine")


@dataclass(frozen=True)
class RefineRules:
    """How this JEDI refines.

    Parameters
    ----------
    vo : str
        The experiment that refiners exist for.
    refiners : int
        Refiners that work side by side. With more than one, two twins may be looked at in the same moment, see
        nothing of each other, and both live.
    attempt_suffix : bool
        Whether files keep their slot's number and get ``.1``, ``.2`` by attempt.
    instantiate : bool
        Whether outputs are templates, as with PanDA's stock refiner.
    """

    vo: str
    refiners: int = 1
    attempt_suffix: bool = False
    instantiate: bool = False


@dataclass(frozen=True)
class Objections:
    """What the catalogue says against a map."""

    unknown: str | None = None  # input dataset that it does not know
    storage: str | None = None  # what is wrong with a destination


def register_submissions(engine: Engine, rhythms: Rhythms) -> None:
    """Give every waiting submission its row among the tasks: ``registered``, nameless, as JEDI begins.

    What came before a submission that is due is due too: of twins the one with the lowest id is refined first, even if
    its request was the slower one.
    """
    limit = utc_now() - timedelta(seconds=rhythms.unknown_s)
    s = t.submission.c
    with engine.begin() as connection:
        last_due = select(func.max(s.jedi_task_id)).where(s.state == "waiting", s.created <= limit).scalar_subquery()
        query = select(t.submission).where(s.state == "waiting", s.jedi_task_id <= last_due).order_by(s.jedi_task_id)
        for row in connection.execute(query.with_for_update(skip_locked=True)).mappings().all():
            values = {
                "jedi_task_id": row["jedi_task_id"],
                "task_name": str(uuid.uuid4()),
                "user_name": "tobeset",
                "status": "registered",
                "creation_date": row["created"],
                "modification_time": utc_now(),
                "state_change_time": row["created"],
                "parent_tid": row["parent_tid"] or row["jedi_task_id"],
                "params": {**row["params"], "userName": row["user_name"]},
            }
            connection.execute(insert(t.task).values(**values))
            connection.execute(
                update(t.submission).where(s.jedi_task_id == row["jedi_task_id"]).values(state="registered")
            )


def refine_registered(engine: Engine, rhythms: Rhythms, rules: RefineRules, catalogue: Catalogue) -> None:
    """Refine what is registered, the lowest id first, so that of twins the first one lives."""
    now, c = utc_now(), t.task.c
    with engine.connect() as connection:
        query = select(c.jedi_task_id).where(c.status.in_(_TO_REFINE), or_(c.look_again.is_(None), c.look_again <= now))
        waiting = connection.execute(query.order_by(c.jedi_task_id)).scalars().all()

    def refine_task(jedi_task_id: int) -> None:
        _refine_task(engine, jedi_task_id, rhythms, rules, catalogue)

    if rules.refiners == 1:
        for jedi_task_id in waiting:
            refine_task(jedi_task_id)
    elif waiting:
        with ThreadPoolExecutor(rules.refiners, thread_name_prefix="refiner") as refiners:
            list(refiners.map(refine_task, waiting))


def _refine_task(engine: Engine, jedi_task_id: int, rhythms: Rhythms, rules: RefineRules, catalogue: Catalogue) -> None:
    try:
        objections = _ask_catalogue(engine, jedi_task_id, catalogue)
    except CatalogueUnavailable as error:
        log.warning("task %s stays registered: %s", jedi_task_id, error)
        return
    try:
        with engine.begin() as connection:
            row = find_task(connection, jedi_task_id, lock=True)
            if row is not None and row["status"] in _TO_REFINE:
                _refine_one(connection, row, rhythms, rules, objections)
    except SUSPECTS as error:
        break_task(engine, jedi_task_id, "failed to refine task", error)


def _ask_catalogue(engine: Engine, jedi_task_id: int, catalogue: Catalogue) -> Objections:
    """The first input dataset the catalogue does not know, the first bad destination; asked before rows are locked."""
    with engine.connect() as connection:
        row = find_task(connection, jedi_task_id)
        try:
            plans = plan_datasets(row["params"]) if row else []
        except (KeyError, TypeError, ValueError, AttributeError):
            return Objections()  # the refiner itself will say what is wrong with the map
        names = [plan.name for plan in plans if plan.type == "input"]
        unknown = next((name for name in names if not catalogue.knows(connection, name)), None)
        faults = (catalogue.storage_fault(one) for one in destinations(plans))
        return Objections(unknown, next((fault for fault in faults if fault), None))


def _refine_one(
    connection: Connection, row: RowMapping, rhythms: Rhythms, rules: RefineRules, objections: Objections
) -> None:
    jedi_task_id, params = row["jedi_task_id"], row["params"]
    if row["status"] == "rerefine":
        _refine_again(connection, row, rules)
        return
    try:
        with connection.begin_nested():
            _read_map(connection, row, rhythms, rules, objections)
    except RefineFailed as error:
        columns = {}
        if error.named:
            _name(connection, jedi_task_id, params)
            _keep_attributes(connection, jedi_task_id, params, str(error))
            columns["start_time"] = utc_now()
        set_status(connection, jedi_task_id, "tobroken", str(error), **columns)
    except (KeyError, TypeError, ValueError, AttributeError, DBAPIError) as error:
        log.exception("task %s: its map cannot be refined", jedi_task_id)
        kind = type(error).__name__
        set_status(connection, jedi_task_id, "tobroken", f"failed to refine task with {kind}:{str(error)[:300]}")


def _refine_again(connection: Connection, row: RowMapping, rules: RefineRules) -> None:
    """Take the map anew after ``reload_input``: priority and split rule are the map's again (``attributes``)."""
    params = row["params"]
    rule = split_rule(params) + (f",{INSTANTIATES}" if rules.instantiate else "")
    attributes = {**row["attributes"], "splitRule": rule if "useScout" in rule else f"{rule},useScout=no_use"}
    attributes.pop("fed_after_parent", None)
    columns = {"current_priority": params["taskPriority"], "start_time": None, "attributes": attributes}
    set_status(connection, row["jedi_task_id"], "defined", **columns)


def _read_map(
    connection: Connection, row: RowMapping, rhythms: Rhythms, rules: RefineRules, objections: Objections
) -> None:
    """Take the map step by step; what has been written is undone when a step fails."""
    jedi_task_id, params = row["jedi_task_id"], row["params"]
    check_common(params, rules.vo)
    _name(connection, jedi_task_id, params)
    twin = _find_twin(connection, jedi_task_id, params)
    refined = refine(params, params["userName"])
    if twin is not None:
        _write_attributes(connection, jedi_task_id, refined, job_parameters=False)
        reason = f"toabort since there is duplicated task -> jediTaskID={twin}"
        set_status(connection, jedi_task_id, "toabort", reason, task_name=None, start_time=utc_now())
    elif _parent_allows(connection, row, params, rhythms):
        if objections.unknown is not None:
            said = f'doBasicRefine : unknown input dataset "{objections.unknown}"'
            raise RefineFailed(f"{said} failed to refine task with UnknownDatasetError:{said}", named=True)
        if objections.storage is not None:
            _wait_for_storage(connection, row, rhythms, objections.storage)
            return
        if rules.attempt_suffix:
            refined.attributes["attempt_suffix"] = True
        _define(connection, row, as_templates(refined) if rules.instantiate else refined)


def _wait_for_storage(connection: Connection, row: RowMapping, rhythms: Rhythms, fault: str) -> None:
    """A bad destination: ``pending``, then ``registered`` with the reason still on it (``stock_ddm``, task 254)."""
    jedi_task_id, now = row["jedi_task_id"], utc_now()
    values = {"attributes": early_attributes(row["params"])}
    connection.execute(update(t.task).where(t.task.c.jedi_task_id == jedi_task_id).values(**values))
    columns = {"look_again": now + timedelta(seconds=rhythms.pending_s), "old_status": "registered", "frozen_time": now}
    set_status(connection, jedi_task_id, "pending", f"pending due to temporary storage issue. {fault}", **columns)


def _keep_attributes(connection: Connection, jedi_task_id: int, params: Mapping[str, Any], reason: str) -> None:
    """Keep what JEDI had read of a map that breaks later: the common attributes, no job parameters."""
    attributes = common_attributes(params)
    attributes["splitRule"] = split_rule({**params, "jobParameters": []})
    if "workqueue is undefined" in reason:  # it breaks before the kind of resource is chosen (recording ``broken``)
        attributes["resource_type"] = None
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
    raw_params = refined.raw_params if job_parameters else None  # of a twin the map stays as it came
    values = {"attributes": attributes, "raw_params": raw_params}
    connection.execute(update(t.task).where(t.task.c.jedi_task_id == jedi_task_id).values(**values))


def _define(connection: Connection, row: RowMapping, refined: RefinedTask) -> None:
    """Give the task its datasets; the time of its last change of status stays what it was (``odd_input``)."""
    jedi_task_id = row["jedi_task_id"]
    _write_attributes(connection, jedi_task_id, refined)
    for plan in refined.datasets:
        values = {**plan.__dict__, "jedi_task_id": jedi_task_id}
        connection.execute(insert(t.dataset).values(**values))
    columns = {
        "error_dialog": None,
        "look_again": None,
        "old_status": None,
        "start_time": utc_now(),
        "state_change_time": row["state_change_time"],
        "scouting": "no_use" if uses_scouts(row["params"]) else None,
    }
    set_status(connection, jedi_task_id, "defined", **columns)
