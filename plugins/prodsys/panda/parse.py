"""PanDA's replies as our own objects. Pure; odd values become empty ones, never exceptions."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from prodsys.model.evidence import TaskDataset, TaskFile
from prodsys.model.outcome import JobFile, JobRecord, TaskInfo
from prodsys.model.statuses import JobStatus, TaskStatus

_SEED = re.compile(r"--seed=(\d+)\b")
_GUID = re.compile(r"[0-9a-f]{32}")
_ADLER = re.compile(r"^(?:ad:)?([0-9a-fA-F]{1,8})$")
# the pilot's words tell most, so they come last: whoever shows one error shows that
ERROR_SOURCES = ("exe", "sup", "ddm", "brokerage", "jobDispatcher", "taskBuffer", "pilot")


def task_info(row: Mapping[str, Any]) -> TaskInfo:
    """One row of ``get_detailed_info``; a parent of itself is no parent."""
    jedi_task_id = int(row["jediTaskID"])
    parent = _int(row.get("parent_tid"))
    task_map = row.get("raw_task_params")
    return TaskInfo(
        jedi_task_id=jedi_task_id,
        task_name=row.get("taskName"),
        status=TaskStatus(str(row.get("status"))),
        user_name=str(row.get("userName") or ""),
        task_type=str(row.get("taskType") or ""),
        priority=_int(row.get("taskPriority")),
        parent_tid=None if parent == jedi_task_id else parent,
        error_dialog=str(row.get("errorDialog") or ""),
        site=str(row.get("site") or ""),
        task_map=task_map if isinstance(task_map, dict) else {},
        modified=_moment(row.get("modificationTime")),
        ended=_moment(row.get("endTime")),
        files=_int(row.get("nFiles")),
        files_finished=_int(row.get("nFilesFinished")),
    )


def task_datasets(rows: Iterable[Mapping[str, Any]]) -> tuple[TaskDataset, ...]:
    """Datasets and files of ``get_datasets_and_files``."""
    return tuple(
        TaskDataset(
            str(row["dataset"]["name"]),
            tuple(
                TaskFile(str(file["lfn"]), str(file.get("scope") or ""), str(file.get("status") or ""))
                for file in row.get("files") or ()
            ),
            _int(row["dataset"].get("id")) or 0,
        )
        for row in rows
    )


def job_record(row: Mapping[str, Any]) -> JobRecord:
    """One attempt of one job, its files bound to their datasets."""
    parameters = str(row.get("jobParameters") or "")
    seed = _SEED.search(parameters)
    events = _reported_events(row.get("metadata"))
    files = [file for file in row.get("Files") or () if isinstance(file, Mapping)]
    return JobRecord(
        panda_job_id=int(row["PandaID"]),
        status=JobStatus(str(row.get("jobStatus"))),
        site=str(row.get("computingSite") or ""),
        parameters=parameters,
        attempt=_int(row.get("attemptNr")) or 1,
        seed=int(seed[1]) if seed else None,
        events=_int(row.get("nEvents")) or None,
        inputs=_files(files, {"input"}, events),
        outputs=_files(files, {"output", "log"}, events),
        errors=_errors(row),
        cpu_s=float(_int(row.get("cpuConsumptionTime")) or 0),
        wall_s=_wall(row),
    )


def _files(files: Iterable[Mapping[str, Any]], kinds: set[str], events: Mapping[str, int]) -> tuple[JobFile, ...]:
    found = (
        JobFile(
            lfn=str(file.get("lfn")),
            dataset=str(file.get("dataset") or ""),
            bytes=_int(file.get("fsize")) or 0,
            adler32=_adler32(file.get("checksum")),
            events=events.get(str(file.get("lfn"))),
            guid=_guid(file.get("GUID")),
            dataset_id=_int(file.get("datasetID")) or 0,
        )
        for file in files
        if file.get("type") in kinds
    )
    return tuple(sorted(found, key=lambda file: (file.dataset, file.lfn)))


def _reported_events(metadata: object) -> dict[str, int]:
    """Events of each file in a job's report (JSON text), as the transformation counted them."""
    try:
        report = json.loads(metadata) if isinstance(metadata, str) else metadata
        groups = report["files"]["output"] if isinstance(report, dict) else []
        subfiles = [file for group in groups for file in group.get("subFiles") or ()]
        return {str(file["name"]): int(file["nentries"]) for file in subfiles if file.get("nentries") is not None}
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return {}


def _errors(row: Mapping[str, Any]) -> tuple[str, ...]:
    transform = str(row.get("transExitCode") or "0").strip()
    errors = [] if transform in ("0", "NULL") else [f"transExitCode {transform}"]
    for source in ERROR_SOURCES:
        code = _int(row.get(f"{source}ErrorCode"))
        if code:
            errors.append(f"{source}ErrorCode {code}: {row.get(f'{source}ErrorDiag') or 'no words'}")
    return tuple(errors)


def _wall(row: Mapping[str, Any]) -> float:
    start, end = row.get("startTime"), row.get("endTime")
    if isinstance(start, datetime) and isinstance(end, datetime):
        return max(0.0, (end - start).total_seconds())
    return 0.0


def _adler32(checksum: object) -> str:
    found = _ADLER.match(str(checksum or "").strip())
    return found[1].lower().zfill(8) if found else ""


def _guid(value: object) -> str:
    """32 lower-case hex digits; "" for none, ``NULL`` and what is no GUID."""
    digits = str(value or "").strip().replace("-", "").lower()
    return digits if _GUID.fullmatch(digits) else ""


def _moment(value: object) -> str:
    return value.isoformat(timespec="seconds") if isinstance(value, datetime) else ""


def _int(value: object) -> int | None:
    try:
        return int(value)  # type: ignore[call-overload]
    except (TypeError, ValueError, OverflowError):
        return None
