"""What Airflow's REST API tells, as our own objects. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any


@dataclass(frozen=True)
class RunInfo:
    """One run of a DAG."""

    dag_id: str
    dag_run_id: str
    airflow_state: str  # queued, running, success, failed
    started: datetime | None = None
    ended: datetime | None = None
    note: str = ""
    bundle_version: str = ""
    conf: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_terminal(self) -> bool:
        """Whether Airflow will do nothing more of it by itself."""
        return self.airflow_state in ("success", "failed")


@dataclass(frozen=True)
class AirflowTaskInfo:
    """One airflow task of a run, in its latest try."""

    task_id: str
    map_index: int
    try_number: int
    airflow_state: str  # "" when it has none yet
    started: datetime | None = None
    ended: datetime | None = None


@dataclass(frozen=True)
class ImportFault:
    """A DAG file that Airflow could not read."""

    filename: str
    bundle: str
    stack_trace: str
    seen: datetime | None = None


@dataclass(frozen=True)
class LogEntry:
    """A line of Airflow's event log: what somebody or something did."""

    event_log_id: int
    when: datetime
    event: str
    owner: str
    dag_id: str
    dag_run_id: str
    task_id: str
    map_index: int | None
    try_number: int | None
    extra: str


def run_info(row: Mapping[str, Any]) -> RunInfo:
    """A DAG run of the API."""
    return RunInfo(
        dag_id=row["dag_id"],
        dag_run_id=row["dag_run_id"],
        airflow_state=str(row["state"]),
        started=moment(row.get("start_date")),
        ended=moment(row.get("end_date")),
        note=row.get("note") or "",
        bundle_version=row.get("bundle_version") or "",
        conf=row.get("conf") or {},
    )


def airflow_task_info(row: Mapping[str, Any]) -> AirflowTaskInfo:
    """A task instance of the API."""
    return AirflowTaskInfo(
        task_id=row["task_id"],
        map_index=int(row["map_index"]),
        try_number=int(row["try_number"]),
        airflow_state=row.get("state") or "",
        started=moment(row.get("start_date")),
        ended=moment(row.get("end_date")),
    )


def import_fault(row: Mapping[str, Any]) -> ImportFault:
    """An import error of the API."""
    return ImportFault(
        filename=row["filename"],
        bundle=row.get("bundle_name") or "",
        stack_trace=row.get("stack_trace") or "",
        seen=moment(row.get("timestamp")),
    )


def log_entry(row: Mapping[str, Any]) -> LogEntry:
    """An event log line of the API."""
    when = moment(row["when"])
    if when is None:
        raise ValueError(f"event log entry {row.get('event_log_id')} has no time")
    return LogEntry(
        event_log_id=int(row["event_log_id"]),
        when=when,
        event=row.get("event") or "",
        owner=row.get("owner") or "",
        dag_id=row.get("dag_id") or "",
        dag_run_id=row.get("run_id") or "",
        task_id=row.get("task_id") or "",
        map_index=row.get("map_index"),
        try_number=row.get("try_number"),
        extra=row.get("extra") or "",
    )


def moment(text: object) -> datetime | None:
    """A time of the API, or None."""
    return datetime.fromisoformat(text) if isinstance(text, str) else None
