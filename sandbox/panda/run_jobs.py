"""Activated jobs become processes within the slots of their site; what they report comes back into the tables."""

from __future__ import annotations

import json
import logging
import os
import shutil
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil
from sqlalchemy import Connection, Engine, RowMapping, func, select, update

from sandbox.panda import tables as t
from sandbox.panda.payload import number_in
from sandbox.panda.refine import scope_of
from sandbox.panda.rhythms import Rhythms, utc_now
from sandbox.panda.scenario import JobError, ScenarioFile, within
from sandbox.panda.settings import Site, folder_of
from sandbox.panda.storage import file_path
from sandbox.panda.store import count_journal, write_journal

log = logging.getLogger(__name__)

LOST_HEARTBEAT = 102
_ON_NODE = ("sent", "starting", "running")
_START_GRACE_S = 10.0


class Runner:
    """The worker nodes of all sites; its memory is the tables and the job folders, nothing else."""

    def __init__(
        self, engine: Engine, rhythms: Rhythms, sites: dict[str, Site], work: Path, scenario: ScenarioFile
    ) -> None:
        self._engine, self._rhythms, self._sites, self._scenario = engine, rhythms, sites, scenario
        self._jobs = work / "jobs"
        self._jobs.mkdir(parents=True, exist_ok=True)
        self._host: subprocess.Popen[str] | None = None

    def cycle(self) -> None:
        """Collect what has ended, stop what was cancelled, start what may run."""
        self._collect()
        self._stop_cancelled()
        for site in self._sites.values():
            self._start(site)

    def stop(self) -> None:
        """Let the host end; running jobs go on and are found again."""
        if self._host and self._host.stdin:
            self._host.stdin.close()
            self._host.wait(timeout=10)

    def _start(self, site: Site) -> None:
        j = t.job.c
        with self._engine.begin() as connection:
            busy = connection.execute(
                select(func.count()).where(j.site == site.name, j.status.in_(_ON_NODE))
            ).scalar_one()
            query = (
                select(t.job)
                .where(j.site == site.name, j.status == "activated")
                .order_by(j.priority.desc(), j.panda_id)
                .limit(max(site.slots - busy, 0))
                .with_for_update(skip_locked=True)
            )
            rows = connection.execute(query).mappings().all() if busy < site.slots else []
            for row in rows:
                self._write_spec(connection, row, site)
                now = utc_now()
                values = {"status": "running", "state_change_time": now, "modification_time": now, "start_time": now}
                connection.execute(update(t.job).where(j.panda_id == row["panda_id"]).values(**values))
        for row in rows:
            self._launch(row["panda_id"])

    def _folder(self, panda_id: int) -> Path:
        return self._jobs / str(panda_id)

    def _launch(self, panda_id: int) -> None:
        if self._host is None or self._host.poll() is not None:
            command = [sys.executable, "-m", "sandbox.panda.pilot_host"]
            self._host = subprocess.Popen(command, stdin=subprocess.PIPE, text=True, start_new_session=True)
        if self._host.stdin is None:
            raise RuntimeError("the pilot host has no standard input")
        self._host.stdin.write(f"{self._folder(panda_id)}\n")
        self._host.stdin.flush()

    def _write_spec(self, connection: Connection, row: RowMapping, site: Site) -> None:
        f = t.job_file.c
        query = select(t.job_file).where(f.panda_id == row["panda_id"]).order_by(f.row_id)
        files = connection.execute(query).mappings().all()
        task = connection.execute(
            select(t.task.c.task_name, t.task.c.params).where(t.task.c.jedi_task_id == row["jedi_task_id"])
        ).one()
        folders = [folder_of(site), *(folder_of(one) for one in self._sites.values() if one.name != site.name)]
        failure = self._failure(connection, row, task.task_name or "", files)
        spec = {
            "panda_id": row["panda_id"],
            "site": site.name,
            "parameters": row["parameters"],
            "image": task.params.get("container_name", ""),
            "n_events": row["n_events"],
            "least_wall_s": self._wall(row, task.task_name or ""),
            "inputs": [
                {"lfn": one["lfn"], "paths": [str(file_path(at, _scope(one), one["lfn"])) for at in folders]}
                for one in files
                if one["type"] == "input"
            ],
            "outputs": [
                {"lfn": one["lfn"], "type": one["type"], "path": str(file_path(folders[0], _scope(one), one["lfn"]))}
                for one in files
                if one["type"] in ("output", "log")
            ],
            "fail": failure.model_dump() if failure else None,
        }
        folder = self._folder(row["panda_id"])
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        (folder / "spec.json").write_text(json.dumps(spec), encoding="utf-8")

    def _wall(self, row: RowMapping, task_name: str) -> float:
        """Return the least wall time of a job [s]: the rhythm, or what the first rule that means it says."""
        seed = number_in(row["parameters"], "seed")
        for rule in self._scenario.current.rules:
            if rule.slow is not None and rule.match.hits_job(task_name, seed, row["site"]):
                return rule.slow.wall_s
        return self._rhythms.job_s

    def _failure(self, connection: Connection, row: RowMapping, task_name: str, files: Any) -> JobError | None:
        """Return the error the scenario wants for this job; counted per rule and input slot."""
        seed = number_in(row["parameters"], "seed")
        slot = next((one["file_id"] for one in files if one["type"] in ("input", "pseudo_input")), 0)
        for rule in self._scenario.current.rules:
            if rule.fail is None or not rule.match.hits_job(task_name, seed, row["site"]):
                continue
            target = f"task {row['jedi_task_id']} slot {slot}"
            if within(rule.fail.times, count_journal(connection, rule.key, target)):
                ids = {"jedi_task_id": row["jedi_task_id"], "panda_id": row["panda_id"]}
                write_journal(connection, rule.key, target, f"job fails: {rule.fail.error.diag}", **ids)
                return rule.fail.error
        return None

    def _collect(self) -> None:
        j = t.job.c
        with self._engine.connect() as connection:
            query = select(j.panda_id, j.state_change_time).where(j.status.in_(_ON_NODE))
            rows = connection.execute(query).tuples().all()
        for panda_id, since in rows:
            report = self._read_report(panda_id)
            if report is None and not self._lives(panda_id, since):
                report = self._read_report(panda_id) or _lost_report(panda_id, since)
            if report is not None:
                with self._engine.begin() as connection:
                    _take_report(connection, panda_id, report)
                shutil.rmtree(self._folder(panda_id), ignore_errors=True)

    def _read_report(self, panda_id: int) -> dict[str, Any] | None:
        path = self._folder(panda_id) / "report.json"
        return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None

    def _lives(self, panda_id: int, since: datetime) -> bool:
        """Whether the job's process is there, or may still be about to start."""
        pid = self._pid(panda_id)
        if pid is None:
            return (utc_now() - since).total_seconds() < _START_GRACE_S
        return _is_job(pid, since)

    def _pid(self, panda_id: int) -> int | None:
        try:
            return int(json.loads((self._folder(panda_id) / "pid.json").read_text(encoding="ascii"))["pid"])
        except (OSError, ValueError, KeyError):
            return None

    def _stop_cancelled(self) -> None:
        """End the processes of jobs that were cancelled while they ran."""
        j = t.job.c
        with self._engine.connect() as connection:
            query = select(j.panda_id, j.start_time).where(
                j.status == "cancelled", j.start_time.is_not(None), j.report.is_(None)
            )
            rows = connection.execute(query).tuples().all()
        for panda_id, since in rows:
            pid = self._pid(panda_id)
            if pid is not None and _is_job(pid, since):
                os.kill(pid, signal.SIGKILL)
            with self._engine.begin() as connection:
                connection.execute(update(t.job).where(j.panda_id == panda_id).values(report={"files": {}}))


def _scope(row: RowMapping) -> str:
    return row["scope"] or scope_of(row["dataset"])[0]


def _is_job(pid: int, since: datetime) -> bool:
    """Whether this process is alive and began after the job was started (numbers are used again)."""
    try:
        process = psutil.Process(pid)
        started = datetime.fromtimestamp(process.create_time(), UTC).replace(tzinfo=None)
        return process.status() != psutil.STATUS_ZOMBIE and (started - since).total_seconds() > -2.0
    except psutil.Error:
        return False


def _lost_report(panda_id: int, since: datetime) -> dict[str, Any]:
    log.warning("job %s has neither process nor report: lost heartbeat", panda_id)
    return {"lost": True, "diag": f"lost heartbeat : {since}", "files": {}, "ended": time.time()}


def _take_report(connection: Connection, panda_id: int, report: dict[str, Any]) -> None:
    """Put a job into ``holding``: it has ended, its outputs are not registered yet."""
    now = utc_now()
    values: dict[str, Any] = {
        "status": "holding",
        "report": report,
        "end_time": datetime.fromtimestamp(report["ended"], UTC).replace(tzinfo=None),
        "state_change_time": now,
        "modification_time": now,
        "errors": _errors(report),
        "cpu_s": report.get("cpu_s"),
    }
    if "started" in report:
        values["start_time"] = datetime.fromtimestamp(report["started"], UTC).replace(tzinfo=None)
    j = t.job.c
    connection.execute(update(t.job).where(j.panda_id == panda_id, j.status.in_(_ON_NODE)).values(**values))


def _errors(report: dict[str, Any]) -> dict[str, Any]:
    """Error fields of the job, by their names in the API; as recorded in ``seed_list`` and ``failed``."""
    if report.get("lost"):
        return {"jobDispatcherErrorCode": LOST_HEARTBEAT, "jobDispatcherErrorDiag": report["diag"]}
    error = report.get("error")
    if not error:
        return {"transExitCode": "0"}
    fields: dict[str, Any] = {"transExitCode": str(error["exit"]), "pilotErrorCode": error["pilot"]}
    fields["pilotErrorDiag"] = error["diag"]
    if error["exit"]:
        fields["pilotErrorDiag"] = f"Failed to execute payload: {error['diag']}"
        fields |= {"exeErrorCode": error["exit"], "exeErrorDiag": error["diag"]}
    return fields
