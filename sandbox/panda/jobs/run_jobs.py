"""Activated jobs become processes within the slots of their site; what they report comes back into the tables.

``sent``: the order lies in the job's folder; ``running``: a process has taken it up and shows signs of life, with which
the job's modification time moves; ``holding``: it has reported. A job without a sign of life for `heartbeat_s` is lost.
"""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, RowMapping, select, update

from sandbox.panda import tables as t
from sandbox.panda.jobs.job_folder import JobFolder
from sandbox.panda.jobs.job_spec import build_job_spec
from sandbox.panda.rhythms import Rhythms, utc_now
from sandbox.panda.settings import Site, folder_of
from sandbox.panda.store import find_task
from sandbox.panda.tasks.outcome import fail_job
from sandbox.panda.trouble.deeds import JobError, error_named
from sandbox.panda.trouble.in_force import ScenarioInForce
from sandbox.panda.trouble.see_jobs import see_job
from sandbox.panda.trouble.strikes import (
    NO_FATE,
    JobFate,
    Moment,
    Struck,
    TaskRules,
    count_strikes,
    offline_sites,
    rules_for,
    write_strikes,
)

log = logging.getLogger(__name__)

ON_NODE = ("sent", "starting", "running")
_LEAST_PATIENCE_S = 8.0
_BEATS = 6
_RELAUNCH_S = 5.0
_LAUNCH_PATIENCE_S = 120.0


PRIVATE = ("PRODSYS_", "SANDBOX_PANDA_", "SANDBOX_RUCIO_", "AIRFLOW")  # how names of settings begin


def job_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """What a job gets of its pilot's environment: nothing of the services, whose addresses hold passwords."""
    return {name: value for name, value in environment.items() if not name.startswith(PRIVATE)}


class Runner:
    """The worker nodes of some sites; its memory is the tables and the job folders, nothing else."""

    def __init__(
        self, engine: Engine, rhythms: Rhythms, sites: Mapping[str, Site], work: Path, scenario: ScenarioInForce
    ) -> None:
        self._engine, self._rhythms, self._sites, self._scenario = engine, rhythms, sites, scenario
        self._patience_s = max(rhythms.heartbeat_s, _LEAST_PATIENCE_S)
        self._beat_s = self._patience_s / _BEATS
        self._jobs = work / "jobs"
        self._jobs.mkdir(parents=True, exist_ok=True)
        self._host: subprocess.Popen[str] | None = None
        self._asked: dict[int, tuple[float, float]] = {}

    def cycle(self) -> None:
        """Look after what runs, stop what was cancelled, start what may run."""
        self._look()
        self._stop_cancelled()
        moment = self._scenario.moment()
        offline = offline_sites(self._scenario.current, moment)
        for site in self._sites.values():
            if site.name not in offline:
                self._start(site, moment)

    def stop(self) -> None:
        """Let the host end; running jobs go on and are found again."""
        if self._host and self._host.stdin:
            self._host.stdin.close()
            self._host.wait(timeout=10)

    def _folder(self, panda_id: int) -> JobFolder:
        return JobFolder(self._jobs, panda_id)

    # --- start --------------------------------------------------------------------------------------------------------

    def _start(self, site: Site, moment: Moment) -> None:
        j = t.job.c
        with self._engine.begin() as connection:
            free = _free_nodes(connection, site)
            query = select(t.job).where(j.site == site.name, j.status == "activated")
            query = query.order_by(j.priority.desc(), j.panda_id).limit(len(free)).with_for_update(skip_locked=True)
            rows = connection.execute(query).mappings().all() if free else []
            advice = _Advice(connection, self._scenario, moment)
            silent = {
                row["panda_id"]: self._send(connection, advice, row, site, node)
                for row, node in zip(rows, free, strict=False)
            }
        for panda_id, says_nothing in silent.items():
            if not says_nothing:
                self._launch(panda_id)

    def _send(self, connection: Connection, advice: _Advice, row: RowMapping, site: Site, node: int) -> bool:
        """Give one job to a worker node slot; whether its pilot will never answer."""
        f = t.job_file.c
        query = select(t.job_file).where(f.panda_id == row["panda_id"]).order_by(f.row_id)
        files = connection.execute(query).mappings().all()
        fate = advice.fate(row, node)
        now = utc_now()
        values: dict[str, Any] = {"status": "sent", "state_change_time": now, "modification_time": now}
        values["attributes"] = {**row["attributes"], "node_slot": node}
        connection.execute(update(t.job).where(t.job.c.panda_id == row["panda_id"]).values(**values))
        write_strikes(connection, fate.strikes)
        folder = self._folder(row["panda_id"])
        if fate.silent == "sent":
            folder.remove()
            return True
        folders = [folder_of(site), *(folder_of(one) for one in self._sites.values() if one.name != site.name)]
        image = str(advice.task(row["jedi_task_id"])["params"].get("container_name", ""))
        folder.write_spec(build_job_spec(row, image, files, folders, fate, self._rhythms.job_s, self._beat_s))
        return False

    def _launch(self, panda_id: int) -> None:
        now = time.monotonic()
        self._asked[panda_id] = (self._asked.get(panda_id, (now, now))[0], now)
        if self._host is None or self._host.poll() is not None:
            command = [sys.executable, "-m", "sandbox.panda.jobs.pilot_host"]
            self._host = subprocess.Popen(
                command, stdin=subprocess.PIPE, text=True, start_new_session=True, env=job_environment(os.environ)
            )
        if self._host.stdin is None:
            raise RuntimeError("the pilot host has no standard input")
        self._host.stdin.write(f"{self._folder(panda_id).path}\n")
        self._host.stdin.flush()

    # --- look after ---------------------------------------------------------------------------------------------------

    def _look(self) -> None:
        j = t.job.c
        with self._engine.connect() as connection:
            query = select(j.panda_id, j.status, j.state_change_time, j.modification_time).where(
                j.status.in_(ON_NODE), j.site.in_(list(self._sites))
            )
            rows = connection.execute(query).mappings().all()
        waiting = {row["panda_id"] for row in rows if row["status"] == "sent"}
        self._asked = {panda_id: asked for panda_id, asked in self._asked.items() if panda_id in waiting}
        for row in rows:
            folder = self._folder(row["panda_id"])
            report = folder.read_report()
            if report is not None:
                with self._engine.begin() as connection:
                    _take_report(connection, row["panda_id"], report)
                folder.remove()
            else:
                self._look_at(row, folder)

    def _look_at(self, row: RowMapping, folder: JobFolder) -> None:
        """Move a job on by its last sign of life."""
        begun, beat, now = folder.begun, folder.last_beat, utc_now()
        if begun is None and folder.ordered and self._ask_again(row["panda_id"]):
            return
        last = max(one for one in (row["state_change_time"], begun, beat) if one is not None)
        if (now - last).total_seconds() > self._patience_s:
            folder.kill()
            with self._engine.begin() as connection:
                _lose(connection, row["panda_id"], last)
            folder.remove()
        elif begun is not None and row["status"] != "running":
            self._set_running(row["panda_id"], begun)
        elif beat is not None and (beat - row["modification_time"]).total_seconds() > self._beat_s / 2:
            with self._engine.begin() as connection:
                mine = (t.job.c.panda_id == row["panda_id"]) & (t.job.c.status == "running")
                connection.execute(update(t.job).where(mine).values(modification_time=beat))

    def _ask_again(self, panda_id: int) -> bool:
        """Ask for a process once more where the host, or JEDI before it asked, was killed; whether there is hope."""
        now = time.monotonic()
        first, last = self._asked.get(panda_id, (now, now - _RELAUNCH_S))
        if now - first > _LAUNCH_PATIENCE_S:
            return False
        if now - last >= _RELAUNCH_S:
            self._launch(panda_id)
        return True

    def _set_running(self, panda_id: int, begun: datetime) -> None:
        now = utc_now()
        values = {"status": "running", "state_change_time": now, "modification_time": now, "start_time": begun}
        with self._engine.begin() as connection:
            mine = (t.job.c.panda_id == panda_id) & t.job.c.status.in_(ON_NODE)
            connection.execute(update(t.job).where(mine).values(**values))

    def _stop_cancelled(self) -> None:
        """End the processes of jobs that a command ended while they ran, and clear their folders."""
        ids = [int(path.name) for path in self._jobs.iterdir() if path.name.isdigit()]
        if not ids:
            return
        j = t.job.c
        with self._engine.connect() as connection:
            ended = j.status.not_in((*ON_NODE, "activated"))
            over = connection.execute(select(j.panda_id).where(j.panda_id.in_(ids), ended)).scalars().all()
        for panda_id in over:
            folder = self._folder(panda_id)
            if folder.kill():
                log.info("job %s was ended while it ran: its processes are stopped", panda_id)
            folder.remove()


def _free_nodes(connection: Connection, site: Site) -> Sequence[int]:
    """Numbers of the site's worker node slots that no job holds, from 1."""
    j = t.job.c
    query = select(j.attributes["node_slot"].as_integer()).where(j.site == site.name, j.status.in_(ON_NODE))
    taken = connection.execute(query).scalars().all()
    free = [number for number in range(1, site.slots + 1) if number not in taken]
    return free[: max(site.slots - len(taken), 0)]


class _Advice:
    """What the scenario says about the jobs started in one transaction; each task is looked at once."""

    def __init__(self, connection: Connection, scenario: ScenarioInForce, moment: Moment) -> None:
        self._connection, self._scenario, self._moment = connection, scenario, moment
        self._tasks: dict[int, RowMapping] = {}
        self._rules: dict[int, tuple[TaskRules, Struck]] = {}

    def task(self, jedi_task_id: int) -> RowMapping:
        """Row of a task that has jobs."""
        if jedi_task_id not in self._tasks:
            found = find_task(self._connection, jedi_task_id)
            if found is None:
                raise RuntimeError(f"task {jedi_task_id} has jobs and no row")
            self._tasks[jedi_task_id] = found
        return self._tasks[jedi_task_id]

    def fate(self, job: RowMapping, node: int) -> JobFate:
        """What shall become of this attempt."""
        task = self.task(job["jedi_task_id"])
        if job["jedi_task_id"] not in self._rules:
            rules = rules_for(self._scenario.current, task["task_name"] or "", self._moment)
            self._rules[job["jedi_task_id"]] = (rules, count_strikes(self._connection, rules, job["jedi_task_id"]))
        rules, struck = self._rules[job["jedi_task_id"]]
        if not rules:
            return NO_FATE
        seen = replace(see_job(self._connection, job, task), node=node)
        return rules.fate(seen, struck)


def _lose(connection: Connection, panda_id: int, last: datetime) -> None:
    """Fail a job that says nothing any more (PanDA's watcher): it never answered, or its heartbeat stopped."""
    j = t.job.c
    query = select(t.job).where(j.panda_id == panda_id, j.status.in_(ON_NODE)).with_for_update()
    row = connection.execute(query).mappings().one_or_none()
    if row is None:
        return  # a command was faster
    word = "no_reply_from_pilot" if row["status"] == "sent" else "lost_heartbeat"
    fields = error_named(word).fields(last=str(last))
    fields.pop("transExitCode")
    log.warning("job %s: %s", panda_id, fields["jobDispatcherErrorDiag"])
    connection.execute(update(t.job).where(j.panda_id == panda_id).values(end_time=last))
    fail_job(connection, row, fields)


def _take_report(connection: Connection, panda_id: int, report: dict[str, Any]) -> None:
    """Put a job into ``holding``: it has ended, its outputs are not registered yet."""
    now = utc_now()
    values: dict[str, Any] = {
        "status": "holding",
        "report": report,
        "start_time": datetime.fromtimestamp(report["started"], UTC).replace(tzinfo=None),
        "end_time": datetime.fromtimestamp(report["ended"], UTC).replace(tzinfo=None),
        "state_change_time": now,
        "modification_time": now,
        "errors": _errors(report),
        "cpu_s": report.get("cpu_s"),
    }
    j = t.job.c
    connection.execute(update(t.job).where(j.panda_id == panda_id, j.status.in_(ON_NODE)).values(**values))


def _errors(report: dict[str, Any]) -> dict[str, Any]:
    """Error fields of the job, by their names in the API; as recorded in ``seed_list`` and ``failed``."""
    error = report.get("error")
    if not error:
        return {"transExitCode": "0"}
    if "fields" in error:
        last = str(datetime.fromtimestamp(report["ended"], UTC).replace(tzinfo=None))
        return {
            key: one.replace("{last}", last) if isinstance(one, str) else one for key, one in error["fields"].items()
        }
    codes = {"pilotErrorCode": error["pilot"], "transExitCode": error["exit"], "diag": error["diag"]}
    return JobError.model_validate(codes).fields()
