"""A task in the shapes the API shows; keys and their order as recorded."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sqlalchemy import Connection, Engine, RowMapping, func, select, text

from sandbox.panda import tables as t
from sandbox.panda.api.envelope import Dump, LongData, dump_json, write_list
from sandbox.panda.store import count_master_files, datasets_of, master_of

COLUMNS = {
    "jediTaskID": "jedi_task_id", "taskName": "task_name", "status": "status", "userName": "user_name",
    "creationDate": "creation_date", "modificationTime": "modification_time", "startTime": "start_time",
    "endTime": "end_time", "frozenTime": "frozen_time", "prodSourceLabel": "prod_source_label", "vo": "vo",
    "taskType": "task_type", "taskPriority": "task_priority", "currentPriority": "current_priority",
    "errorDialog": "error_dialog", "reqID": "jedi_task_id", "oldStatus": "old_status", "site": "site",
    "parent_tid": "parent_tid", "stateChangeTime": "state_change_time", "assessmentTime": "assessment_time",
    "attemptNr": "attempt_nr", "activatedTime": "activated_time", "queuedTime": "queued_time",
    "lockedTime": "locked_time", "throttledTime": "throttled_time",
}  # fmt: skip
"""Attributes that are columns of `tables.task`; all others are in its ``attributes``."""

DETAIL_KEYS = [
    "jediTaskID", "taskName", "status", "userName", "creationDate", "modificationTime", "startTime", "endTime",
    "frozenTime", "prodSourceLabel", "workingGroup", "vo", "coreCount", "taskType", "processingType", "taskPriority",
    "currentPriority", "architecture", "transUses", "transHome", "transPath", "lockedBy", "lockedTime",
    "termCondition", "splitRule", "walltime", "walltimeUnit", "outDiskCount", "outDiskUnit", "workDiskCount",
    "workDiskUnit", "ramCount", "ramUnit", "ioIntensity", "ioIntensityUnit", "workQueue_ID", "progress",
    "failureRate", "errorDialog", "reqID", "oldStatus", "cloud", "site", "countryGroup", "parent_tid", "eventService",
    "ticketID", "ticketSystemType", "stateChangeTime", "superStatus", "campaign", "mergeRamCount", "mergeRamUnit",
    "mergeWalltime", "mergeWalltimeUnit", "throttledTime", "numThrottled", "mergeCoreCount", "goal", "assessmentTime",
    "cpuTime", "cpuTimeUnit", "cpuEfficiency", "baseWalltime", "nucleus", "baseRamCount", "ttcRequested",
    "ttcPredicted", "ttcPredictionDate", "rescueTime", "requestType", "gshare", "resource_type", "useJumbo", "diskIO",
    "diskIOUnit", "memory_leak_core", "memory_leak_x2", "attemptNr", "container_name", "framework", "activatedTime",
    "queuedTime", "actionTime", "job_execution_params", "task_creation_arguments",
]  # fmt: skip

UNNAMED = "tobeset"
"""User name of a task whose map has not been read (recording ``broken``)."""

WRITTEN = ("output", "log", "tmpl_output", "tmpl_log")
"""Types in ``outDS``: templates of the stock refiner, and what is made of them (recording ``stock_refiner``)."""
FILES_AT_ONCE = 5000
_FILE_TEXTS = text("""
select count(*), max(file_id), string_agg(
    '{"lfn": ' || to_json(lfn) || ', "scope": ' || coalesce(to_json(scope)::text, 'null') || ', "id": ' || file_id
    || ', "status": ' || to_json(status) || '}', ', ' order by file_id)
from (select lfn, scope, file_id, status from file where dataset_id = :dataset_id and file_id > :after
    order by file_id limit :limit) as part
""")
_SUPER = {"finishing": "running", "scouted": "running", "prepared": "running", "passed": "running"}
_EARLY = ("registered", "defined", "ready", "pending", "assigning", "rerefine", "toretry", "toincexec")


def super_status(status: str, started: bool = False) -> str:
    """Return the coarse status: ``registered`` before the first job, ``running``, or the final one.

    A task that is being aborted keeps the one it had (recorded: kill_slow, listing).
    """
    if status in ("aborting", "toabort"):
        return "running" if started else "registered"
    return "registered" if status in _EARLY else _SUPER.get(status, status)


def describe_task(connection: Connection, row: RowMapping) -> dict[str, Any]:
    """Everything ``get_detailed_info`` tells of a task."""
    info: dict[str, Any] = {}
    for key in DETAIL_KEYS:
        column = COLUMNS.get(key)
        info[key] = row[column] if column else row["attributes"].get(key)
    if row["user_name"] == UNNAMED:  # JEDI had not read the map's common keys
        info["reqID"] = None
    info["superStatus"] = super_status(row["status"], started=row["start_time"] is not None)
    info["raw_task_params"] = row["raw_params"] or row["params"]
    counts = count_master_files(connection, row["jedi_task_id"])
    master = master_of(connection, row["jedi_task_id"])
    failed = max(master["n_failed"] if master else 0, counts["exhausted"])
    total = counts["total"]
    info |= {"nFiles": total, "nFilesFinished": counts["finished"], "nFilesFailed": failed, "nFilesMissing": 0}
    info["pctFinished"] = round(100 * counts["finished"] / total) if total else 0
    info["pctFailed"] = round(100 * failed / total) if total else 0
    return info


def describe_short(row: RowMapping) -> dict[str, Any]:
    """What ``get_tasks_modified_since`` tells of a task."""
    keys = (
        "jediTaskID", "modificationTime", "status", "processingType", "transUses", "transHome", "architecture",
        "reqID", "creationDate", "site", "cloud", "taskName",
    )  # fmt: skip
    return {key: row[COLUMNS[key]] if key in COLUMNS else row["attributes"].get(key) for key in keys}


def statistics_text(connection: Connection, jedi_task_id: int) -> str:
    """Slots by state: ``tobedone*2,finished*8``; after ``finish`` a slot counts twice, as recorded."""
    master = master_of(connection, jedi_task_id)
    counts = count_master_files(connection, jedi_task_id)
    failed = max(master["n_failed"] if master else 0, counts["exhausted"])
    numbers = {
        "tobedone": counts["tobedone"],
        "finished": counts["finished"],
        "failed": failed,
        "picked": counts["picked"],
    }
    return ",".join(f"{name}*{number}" for name, number in numbers.items() if number)


def describe_work(connection: Connection, jedi_task_id: int) -> dict[str, Any]:
    """What ``get_details`` tells: datasets, slots by state, the last job of each slot. Empty for unknown tasks."""
    inputs = [one["name"] for one in datasets_of(connection, jedi_task_id, "input") if one["master"]]
    outputs = [one["name"] for one in datasets_of(connection, jedi_task_id, *WRITTEN)]
    return {
        "inDS": ",".join(inputs),
        "outDS": ",".join(outputs),
        "statistics": statistics_text(connection, jedi_task_id),
        "PandaID": _last_jobs(connection, jedi_task_id),
        "mergeStatus": None,
        "mergePandaID": [],
    }


def _last_jobs(connection: Connection, jedi_task_id: int) -> list[int]:
    master = master_of(connection, jedi_task_id)
    if master is None:
        return []
    f = t.file.c
    query = select(f.panda_id).where(f.dataset_id == master["dataset_id"], f.panda_id.is_not(None)).order_by(f.file_id)
    return list(dict.fromkeys(connection.execute(query).scalars().all()))


def describe_datasets(engine: Engine, jedi_task_id: int, types: list[str], dataset_only: bool) -> Any:
    """Datasets of the wanted types with their files; a list, or text part by part where the files are many."""
    with engine.connect() as connection:
        found = datasets_of(connection, jedi_task_id, *types)
        entries: list[dict[str, Any]] = [
            {"dataset": {"name": one["name"], "id": one["dataset_id"]}, "files": []} for one in found
        ]
        if dataset_only:
            return entries
        f = t.file.c
        query = select(func.count()).where(f.dataset_id.in_([one["dataset_id"] for one in found]))
        many = connection.execute(query).scalar_one() > FILES_AT_ONCE
    if many:
        return LongData(lambda dump: _write_datasets(engine, entries, dump))
    for entry in entries:
        entry["files"] = [file for part in _file_parts(engine, entry["dataset"]["id"]) for file in part]
    return entries


def _write_datasets(engine: Engine, entries: list[dict[str, Any]], dump: Dump) -> Iterator[str]:
    separator = "["
    for entry in entries:
        yield separator + dump(entry)[: -len("[]}")]
        dataset_id = entry["dataset"]["id"]
        if dump is dump_json:
            yield from _file_texts(engine, dataset_id)
        else:
            yield from write_list(_file_parts(engine, dataset_id), dump)
        separator = "}, "
    yield "}]"


def _file_parts(engine: Engine, dataset_id: int) -> Iterator[list[dict[str, Any]]]:
    """Yield a dataset's files in parts, each read in a short transaction of its own."""
    f, after = t.file.c, 0
    while True:
        query = select(f.lfn, f.scope, f.file_id, f.status).where(f.dataset_id == dataset_id, f.file_id > after)
        with engine.connect() as connection:
            rows = connection.execute(query.order_by(f.file_id).limit(FILES_AT_ONCE)).all()
        if rows:
            yield [{"lfn": lfn, "scope": scope, "id": one, "status": status} for lfn, scope, one, status in rows]
        if len(rows) < FILES_AT_ONCE:
            return
        after = rows[-1][2]


def _file_texts(engine: Engine, dataset_id: int) -> Iterator[str]:
    """Yield the JSON of `_file_parts`, written by the database: of 400 000 files in a third of the time."""
    after, separator = 0, "["
    while True:
        values = {"dataset_id": dataset_id, "after": after, "limit": FILES_AT_ONCE}
        with engine.connect() as connection:
            count, last, written = connection.execute(_FILE_TEXTS, values).one()
        if count:
            yield separator + written
            after, separator = last, ", "
        if count < FILES_AT_ONCE:
            yield "[]" if separator == "[" else "]"
            return
