"""Replies in the form in which they are compared: everything that a server is free to choose is out of it. Pure.

This is the one place that says what is not compared, each with its reason; everything else is.
"""

from __future__ import annotations

import difflib
import json
import re
from typing import Any

from tests.contract.panda.outcome import shape_differences
from tests.contract.panda.translation import without_serial

FREE_TASK_KEYS = {
    "lockedBy": "which JEDI process works on the task at the moment",
    "lockedTime": "as lockedBy",
    "assessmentTime": "whether a task was assessed before it ended depends on the minute",
    "throttledTime": "as assessmentTime",
    "activatedTime": "as assessmentTime",
    "queuedTime": "as assessmentTime",
    "progress": "percentage at a moment",
    "workQueue_ID": "number of the server's own work queue",
    "requestType": "hash over the server's own settings",
    "gshare": "the server's own shares",
    "ttcPredicted": "the server's own estimate",
    "ttcPredictionDate": "as ttcPredicted",
    "cpuTime": "measured from the first finished jobs, when the server comes to it",
    "cpuTimeUnit": "as cpuTime", "ioIntensity": "as cpuTime", "ioIntensityUnit": "as cpuTime",
    "outDiskCount": "as cpuTime", "outDiskUnit": "as cpuTime", "workDiskUnit": "as cpuTime",
    "walltimeUnit": "as cpuTime", "ramCount": "as cpuTime; that it can be changed has a test of its own",
    "uniqueTaskName": "the suite leaves it out where a name cannot be made unique (the empty one)",
}  # fmt: skip
"""Attributes of tasks that are not compared, with the reason."""

FREE_JOB_KEYS = {
    "schedulerID": "the pilot's",
    "pilotID": "the pilot's",
    "creationHost": "host",
    "modificationHost": "host",
    "computingElement": "the site's",
    "cpuConsumptionTime": "measured",
    "cpuConsumptionUnit": "the pilot's",
    "actualCoreCount": "measured",
    "hs06sec": "measured",
    "hs06": "the site's",
    "maxRSS": "measured", "maxVMEM": "measured", "maxSWAP": "measured", "maxPSS": "measured",
    "avgRSS": "measured", "avgVMEM": "measured", "avgSWAP": "measured", "avgPSS": "measured",
    "pilotTiming": "measured",
    "jobMetrics": "the pilot's",
    "batchID": "the batch system's",
    "metadata": "the pilot's job report",
    "outputFileBytes": "sizes",
    "nInputFiles": "the pilot's",
    "nEvents": "the pilot's count; what a SIM job makes has a test of its own",
    "jobDuration": "measured",
    "specialHandling": "holds the time at which the job was activated",
    "currentPriority": "the generator counts the job's number in",
    "workQueue_ID": "number of the server's own work queue",
    "gshare": "the server's own shares",
    "jobSubStatus": "the pilot's",
    "cpu_architecture_level": "the pilot's",
    "grid": "the pilot's",
    "pilotErrorDiag": "the pilot's words; their code is compared",
    "exeErrorDiag": "as pilotErrorDiag",
    "jobName": "ends with the id of the first attempt's job; the name before it is compared as taskName",
    "PandaID": "id",
    "maxCpuCount": "from the task's measured walltime", "maxCpuUnit": "as maxCpuCount",
    "maxDiskCount": "from the task's measured outputs",
    "maxWalltime": "as maxCpuCount", "minRamCount": "as maxCpuCount",
    "destinationDBlock": "the dataset of whichever output stands first",
}  # fmt: skip
"""Attributes of jobs that are not compared, with the reason."""

FREE_FILE_KEYS = {
    "row_ID": "id", "PandaID": "id", "datasetID": "id", "fileID": "id",
    "GUID": "drawn anew for every file",
    "fsize": "size",
    "checksum": "of the content",
    "md5sum": "of the content",
    "scope": "given by the server's DDM plug-in: one recording has it, another has null",
}  # fmt: skip
"""Attributes of a job's files that are not compared, with the reason."""

PROGRESS_KEYS = frozenset({"nFiles", "nFilesFinished", "nFilesFailed", "nFilesMissing", "pctFinished", "pctFailed"})
"""How far a task is: compared only where it stands still."""

_LINK = re.compile(r'<a href="[^"]*">log</a>')
_TRACE = re.compile(r"(?: <traceback cut>|\s*Traceback \(most recent call last\).*)", re.DOTALL)
_UUID = re.compile(r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b")
_NICKNAME = re.compile(r"/CN=nickname:[^\s\"']*")
_AVAILABLE = re.compile(r"\b\d+ files available")


def normal_text(text: str) -> str:
    """Text without links to the server's logs, trace-backs, drawn names, numbers of a moment and nicknames.

    The server adds a nickname to the user's DN when the issuer's token carries one (`preferred_username`).
    """
    text = _NICKNAME.sub("", _TRACE.sub("", _LINK.sub("<log>", text)))
    return _AVAILABLE.sub("<n> files available", _UUID.sub("<uuid>", text))


def normal_reply(method: str, body: Any) -> Any:
    """Reply of an endpoint in comparable form.

    Parameters
    ----------
    method : str
        ``task/get_details`` and so on.
    body : dict or str
        The envelope, or the text of a refusal, in recorded words (`translation.Translation.back`).
    """
    if not isinstance(body, dict) or set(body) != {"success", "message", "data"}:
        return normal_text(body) if isinstance(body, str) else body
    form = _FORMS.get(method.rsplit("/", 1)[-1], _plain)
    if method == "task/submit" and body["success"]:
        form = _id_of_task
    return {"success": body["success"], "message": _plain(body["message"]), "data": form(body["data"])}


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        if set(value) == {"__datetime__"}:
            return "<date>"
        return {key: _plain(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_plain(one) for one in value]
    return normal_text(value) if isinstance(value, str) else value


def _without(value: dict[str, Any], free: dict[str, str]) -> dict[str, Any]:
    return {key: f"<free: {free[key]}>" if key in free else _plain(one) for key, one in value.items()}


def _task(data: Any) -> Any:
    if not isinstance(data, dict):
        return data
    form = _without(data, FREE_TASK_KEYS)
    if isinstance(data.get("raw_task_params"), dict):
        form["raw_task_params"] = _params(data["raw_task_params"])
    return form


def _params(data: Any) -> Any:
    return _without(data, {"uniqueTaskName": FREE_TASK_KEYS["uniqueTaskName"]}) if isinstance(data, dict) else data


def _details(data: Any) -> Any:
    """Names of datasets in any order; how many jobs, not which."""
    if not isinstance(data, dict):
        return data
    form = _without(data, {"mergePandaID": "ids", "cliParams": "the client's own"})
    form["PandaID"] = f"{len(data['PandaID'])} jobs"
    for key in ("inDS", "outDS"):
        form[key] = sorted(str(data[key] or "").split(","))
    form["statistics"] = sorted(str(data["statistics"]).split(","))
    if isinstance(data.get("taskParams"), dict):
        form["taskParams"] = _params(data["taskParams"])
    return form


def _ids(data: Any) -> Any:
    return f"{len(data)} jobs" if isinstance(data, list) else data


def _statuses(data: Any) -> Any:
    return sorted(data, key=json.dumps) if isinstance(data, list) else data


def _job(data: Any) -> Any:
    if not isinstance(data, dict):
        return data
    form = _without({key: one for key, one in data.items() if key != "Files"}, FREE_JOB_KEYS)
    form["jobParameters"] = without_serial(form["jobParameters"])
    files = [_without(one, FREE_FILE_KEYS) for one in data["Files"]]
    form["Files"] = sorted(({**one, "lfn": without_serial(one["lfn"])} for one in files), key=json.dumps)
    return form


def _jobs(data: Any) -> Any:
    return sorted((_job(one) for one in data), key=_job_order) if isinstance(data, list) else data


def _job_order(job: Any) -> tuple[str, int, str]:
    job = job or {}
    return str(job.get("jobParameters")), int(job.get("attemptNr") or 0), json.dumps(job, sort_keys=True)


def _datasets(data: Any) -> Any:
    """Datasets by name, files by name without their serial number; ids are left out."""
    if not isinstance(data, list):
        return data
    form = {}
    for one in data:
        files = [f"{without_serial(file['lfn'])} {file['status']}" for file in one["files"]]
        form[one["dataset"]["name"]] = sorted(files)
    return form


def _id_of_task(data: Any) -> Any:
    return "<id of a task>" if isinstance(data, int) else data


def _rows(data: Any) -> Any:
    """Tasks keyed by their ids, as a list: which tasks a server holds is its own."""
    return [_plain(one) for one in data.values()] if isinstance(data, dict) else data


def _found(data: Any) -> Any:
    return sorted((_task(one) for one in data), key=json.dumps) if isinstance(data, list) else data


_FORMS = {
    "get_detailed_info": _task,
    "get_parent_detailed_info": _task,
    "get_task_parameters": _params,
    "get_details": _details,
    "get_job_ids": _ids,
    "get_job_descriptions": _jobs,
    "get_description": _jobs,
    "get_description_incl_archive": _jobs,
    "get_datasets_and_files": _datasets,
    "get_status": lambda data: _statuses(data) if isinstance(data, list) else data,
    "get_tasks_modified_since": _rows,
    "get_tasks_detailed_info_since": _found,
}


def in_motion(method: str, reply: Any, tells_why: bool) -> Any:
    """Return a task's reply without how far it is; without what it waits for too, unless it `tells_why`."""
    if isinstance(reply, dict) and isinstance(reply.get("data"), dict) and method.endswith("detailed_info"):
        left_out = PROGRESS_KEYS if tells_why else PROGRESS_KEYS | {"errorDialog"}
        return {**reply, "data": {key: one for key, one in reply["data"].items() if key not in left_out}}
    return reply


def being_fed(method: str, reply: Any) -> Any:
    """Return the reply on a task that waits for its parent's files without what JEDI's feeder has seen of them so far.

    Which files are there when the feeder comes by, and whether it or the job generator comes first, is a race.
    """
    if isinstance(reply, dict) and isinstance(reply.get("data"), dict):
        free = PROGRESS_KEYS | {"errorDialog", "statistics", "PandaID", "inDS"}
        return {**reply, "data": {key: one for key, one in reply["data"].items() if key not in free}}
    return reply


def as_row(reply: Any) -> Any:
    """Return a list over the server with its first row, without the map that some task was submitted with."""
    if isinstance(reply, dict) and isinstance(reply.get("data"), list):
        rows = [{**row, "raw_task_params": {}} for row in reply["data"] if isinstance(row, dict)]
        return {**reply, "data": rows[:1]}
    return reply


LONGEST = 60
"""Lines of a diff that are shown."""


def differences(recorded: Any, got: Any) -> str:
    """Unified diff of two normal forms; empty when they are equal."""
    if recorded == got:
        return ""
    here, there = ([*_lines(one)] for one in (recorded, got))
    lines = list(difflib.unified_diff(here, there, "recorded", "got", lineterm="", n=2))
    return "\n".join(lines[:LONGEST] + [f"... {len(lines) - LONGEST} more lines"] * (len(lines) > LONGEST))


def _lines(value: Any) -> list[str]:
    text = value if isinstance(value, str) else json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False)
    return text.splitlines()


def shape(recorded: Any, got: Any) -> str:
    """How two replies differ in envelope, keys and types; empty when they agree."""
    if isinstance(recorded, dict) and isinstance(got, dict):
        same = [f"{key}: {recorded.get(key)!r} recorded, {got.get(key)!r} got" for key in ("success", "message")
                if recorded.get(key) != got.get(key)]  # fmt: skip
        return "\n".join(same + shape_differences(recorded.get("data"), got.get("data"), "data"))
    return differences(recorded, got)
