"""A job in the shape the API shows; keys and their order as recorded."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Engine, RowMapping, select

from sandbox.panda import tables as t
from sandbox.panda.api.envelope import LongData, write_list
from sandbox.panda.bulk import chunks, one_of

JOB_KEYS = [
    "PandaID", "jobDefinitionID", "schedulerID", "pilotID", "creationTime", "creationHost", "modificationTime",
    "modificationHost", "AtlasRelease", "transformation", "homepackage", "prodSeriesLabel", "prodSourceLabel",
    "prodUserID", "assignedPriority", "currentPriority", "attemptNr", "maxAttempt", "jobStatus", "jobName",
    "maxCpuCount", "maxCpuUnit", "maxDiskCount", "maxDiskUnit", "ipConnectivity", "minRamCount", "minRamUnit",
    "startTime", "endTime", "cpuConsumptionTime", "cpuConsumptionUnit", "commandToPilot", "transExitCode",
    "pilotErrorCode", "pilotErrorDiag", "exeErrorCode", "exeErrorDiag", "supErrorCode", "supErrorDiag",
    "ddmErrorCode", "ddmErrorDiag", "brokerageErrorCode", "brokerageErrorDiag", "jobDispatcherErrorCode",
    "jobDispatcherErrorDiag", "taskBufferErrorCode", "taskBufferErrorDiag", "computingSite", "computingElement",
    "jobParameters", "metadata", "prodDBlock", "dispatchDBlock", "destinationDBlock", "destinationSE", "nEvents",
    "grid", "cloud", "cpuConversion", "sourceSite", "destinationSite", "transferType", "taskID", "cmtConfig",
    "stateChangeTime", "prodDBUpdateTime", "lockedby", "relocationFlag", "jobExecutionID", "VO", "pilotTiming",
    "workingGroup", "processingType", "prodUserName", "nInputFiles", "countryGroup", "batchID", "parentID",
    "specialHandling", "jobsetID", "coreCount", "nInputDataFiles", "inputFileType", "inputFileProject",
    "inputFileBytes", "nOutputDataFiles", "outputFileBytes", "jobMetrics", "workQueue_ID", "jediTaskID",
    "jobSubStatus", "actualCoreCount", "reqID", "maxRSS", "maxVMEM", "maxSWAP", "maxPSS", "avgRSS", "avgVMEM",
    "avgSWAP", "avgPSS", "maxWalltime", "nucleus", "eventService", "failedAttempt", "hs06sec", "gshare", "hs06",
    "totRCHAR", "totWCHAR", "totRBYTES", "totWBYTES", "rateRCHAR", "rateWCHAR", "rateRBYTES", "rateWBYTES",
    "resource_type", "diskIO", "memory_leak", "memory_leak_x2", "container_name", "job_label", "gco2_regional",
    "gco2_global", "cpu_architecture_level", "outputFileType",
]  # fmt: skip

_FIXED: dict[str, Any] = {
    "jobDefinitionID": 0, "AtlasRelease": "", "homepackage": "", "prodSeriesLabel": "pandatest", "maxCpuCount": 864000,
    "maxDiskCount": 300, "maxDiskUnit": "MB  ", "ipConnectivity": "yes  ", "minRamCount": 1800, "minRamUnit": "MB",
    "cpuConsumptionTime": 0, "cmtConfig": "", "lockedby": "jedi", "relocationFlag": 1, "jobExecutionID": 0,
    "workQueue_ID": 11, "maxWalltime": 864000, "gshare": "SPD production", "hs06": 10, "resource_type": "Undefined",
    "transExitCode": None, "nOutputDataFiles": 0, "outputFileBytes": 0,
}  # fmt: skip
JOBS_AT_ONCE = 500
_ERRORS = ("pilot", "exe", "sup", "ddm", "brokerage", "jobDispatcher", "taskBuffer")


def describe_many_jobs(engine: Engine, panda_ids: Sequence[int]) -> Any:
    """Return descriptions in the order of the ids; a list, or text part by part where they are many."""
    parts = (_describe_part(engine, part) for part in chunks(panda_ids, JOBS_AT_ONCE))
    if len(panda_ids) > JOBS_AT_ONCE:
        return LongData(lambda dump: write_list(parts, dump))
    return next(parts, [])


def _describe_part(engine: Engine, panda_ids: Sequence[int]) -> list[dict[str, Any] | None]:
    with engine.connect() as connection:
        return describe_jobs(connection, panda_ids)


def describe_jobs(connection: Connection, panda_ids: Sequence[int]) -> list[dict[str, Any] | None]:
    """Return descriptions in the order of the ids; None for an id that does not exist."""
    jobs = _rows_by(connection, t.job, "panda_id", panda_ids)
    files: dict[int, list[RowMapping]] = {}
    query = select(t.job_file).where(one_of(t.job_file.c.panda_id, panda_ids)).order_by(t.job_file.c.row_id)
    for row in connection.execute(query).mappings():
        files.setdefault(row["panda_id"], []).append(row)
    tasks = _rows_by(connection, t.task, "jedi_task_id", {job["jedi_task_id"] for job in jobs.values()})
    return [
        describe_job(jobs[one], tasks[jobs[one]["jedi_task_id"]], files.get(one, [])) if one in jobs else None
        for one in panda_ids
    ]


def _rows_by(connection: Connection, table: Any, key: str, values: Any) -> dict[int, RowMapping]:
    query = select(table).where(one_of(table.c[key], list(values)))
    return {row[key]: row for row in connection.execute(query).mappings()}


def describe_job(job: RowMapping, task: RowMapping, files: Sequence[RowMapping]) -> dict[str, Any]:
    """One job with its files."""
    info: dict[str, Any] = dict.fromkeys(JOB_KEYS)
    info |= _FIXED
    for name in _ERRORS:
        info |= {f"{name}ErrorCode": 0, f"{name}ErrorDiag": None}
    info |= _identity(job, task)
    info |= _work(job, files)
    info |= job["errors"]
    info["Files"] = [_describe_file(row, job["jedi_task_id"]) for row in files]
    seconds = (job["end_time"] - job["start_time"]).total_seconds() if job["start_time"] and job["end_time"] else None
    info["jobDuration"] = None if seconds is None else float(int(seconds))
    kind = "scout" if job["attributes"].get("scout") else "normal"
    info["extendedProdSourceLabel"] = f"managed_{kind}" if task["prod_source_label"] == "managed" else None
    return info


ONLY_OF_TASKS = ("jobDuration", "extendedProdSourceLabel")
"""Told by ``task/get_job_descriptions``, not by ``job/get_description`` (recording ``chain_done``)."""


def describe_single_jobs(engine: Engine, panda_ids: Sequence[int]) -> list[dict[str, Any] | None]:
    """Return descriptions as ``job/get_description`` gives them."""
    parts = (_describe_part(engine, part) for part in chunks(panda_ids, JOBS_AT_ONCE))
    return [
        {key: value for key, value in job.items() if key not in ONLY_OF_TASKS} if job else None
        for part in parts
        for job in part
    ]


def _identity(job: RowMapping, task: RowMapping) -> dict[str, Any]:
    attributes, jedi_task_id = task["attributes"], job["jedi_task_id"]
    return {
        "PandaID": job["panda_id"], "jediTaskID": jedi_task_id, "taskID": jedi_task_id, "jobsetID": jedi_task_id,
        "reqID": jedi_task_id, "jobName": job["job_name"], "jobStatus": job["status"],
        "creationTime": job["creation_time"], "modificationTime": job["modification_time"],
        "stateChangeTime": job["state_change_time"], "prodDBUpdateTime": job["creation_time"],
        "startTime": _seconds(job["start_time"]), "endTime": _seconds(job["end_time"]),
        "transformation": attributes.get("transPath"), "prodSourceLabel": task["prod_source_label"],
        "prodUserID": task["user_name"], "prodUserName": task["user_name"], "VO": task["vo"],
        "assignedPriority": _assigned_priority(job, task), "currentPriority": job["priority"],
        "attemptNr": job["attempt_nr"], "maxAttempt": job["max_attempt"], "failedAttempt": job["failed_attempt"],
        "computingSite": job["site"], "cloud": attributes.get("cloud"), "workingGroup": attributes.get("workingGroup"),
        "processingType": attributes.get("processingType"), "coreCount": attributes.get("coreCount"),
        "container_name": attributes.get("container_name"), "job_label": task["prod_source_label"],
        "specialHandling": f"NULL,pc,tq={job['attributes'].get('activated')}",
        "jobParameters": job["parameters"], "commandToPilot": job["command_to_pilot"],
    }  # fmt: skip


def _assigned_priority(job: RowMapping, task: RowMapping) -> Any:
    """Priority of the task; scouts are one ahead (recording ``scouting``)."""
    priority = job["attributes"].get("assigned", task["task_priority"])
    return priority + 1 if job["attributes"].get("scout") and priority is not None else priority


def _work(job: RowMapping, files: Sequence[RowMapping]) -> dict[str, Any]:
    """What the pilot told, and what follows from the list of files."""
    outputs = [row for row in files if row["type"] == "output"]
    inputs = [row for row in files if row["type"] == "input"]
    info: dict[str, Any] = {
        "destinationDBlock": outputs[0]["dataset"] if outputs else None,
        "prodDBlock": inputs[0]["dataset"] if inputs else None,
        "nEvents": job["n_events"],
    }
    report = job["report"]
    if not report or "node" not in report:
        return info
    info |= {"schedulerID": "sandbox", "pilotID": f"sandbox-pilot|{report['node']}", "modificationHost": report["node"]}
    info |= {"cpuConsumptionTime": round(report["cpu_s"]), "cpuConsumptionUnit": "s", "actualCoreCount": 1}
    info |= {"maxRSS": report["max_rss_kb"], "maxPSS": report["max_rss_kb"], "batchID": f"sandbox.{job['panda_id']}"}
    if job["status"] != "holding":
        info["hs06sec"] = round(report["wall_s"] * 10)
    if job["status"] in ("finished", "failed"):  # a failed job tells how many it was to write
        info["nOutputDataFiles"] = len(outputs)
    if job["status"] == "finished":
        info |= {
            "nInputFiles": len(inputs),
            "outputFileBytes": sum(row["size"] for row in outputs),
            "metadata": _metadata(report),
        }
    return info


def _metadata(report: dict[str, Any]) -> str:
    outputs = [
        {"subFiles": [{"name": lfn, "file_guid": said["guid"], "nentries": said["events"], "file_size": said["size"]}]}
        for lfn, said in report["files"].items()
        if "events" in said
    ]
    return json.dumps({"files": {"output": outputs}, "resource": {"executor": {}}})


def _seconds(value: Any) -> Any:
    return value.replace(microsecond=0) if value else None


def _describe_file(row: RowMapping, jedi_task_id: int) -> dict[str, Any]:
    is_output = row["type"] in ("output", "log")
    return {
        "row_ID": row["row_id"], "PandaID": row["panda_id"], "GUID": row["guid"], "lfn": row["lfn"],
        "type": row["type"], "dataset": row["dataset"], "status": row["status"],
        "prodDBlock": None if is_output else row["dataset"], "prodDBlockToken": None,
        "dispatchDBlock": None, "dispatchDBlockToken": None,
        "destinationDBlock": row["dataset"] if is_output else None, "destinationDBlockToken": row["token"],
        "destinationSE": row["destination"], "fsize": row["size"], "md5sum": None,
        "checksum": f"ad:{row['adler32']}" if row["adler32"] else None, "scope": row["scope"],
        "jediTaskID": jedi_task_id, "datasetID": row["dataset_id"], "fileID": row["file_id"],
        "attemptNr": row["attempt_nr"],
    }  # fmt: skip
