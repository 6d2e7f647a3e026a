"""Worker nodes without processes: jobs of simulated queues start, last and end in the tables alone, thousands at once.

The statuses, the slots of a queue, commands and the scenario are those of real jobs; only the work is drawn
(`believable`). Nothing is written to an RSE folder. What an attempt will come to is settled when it starts and lies in
its row, so that a kill -9 changes nothing.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Engine, func, select, text

from sandbox.panda import tables as t
from sandbox.panda.bulk import one_of
from sandbox.panda.jobs.believable import EVENTS_A_JOB, SimulatedJob, Step, build_report, usual_wall_s
from sandbox.panda.jobs.payload import number_in
from sandbox.panda.rhythms import Rhythms, utc_now
from sandbox.panda.settings import Site
from sandbox.panda.trouble.in_force import ScenarioInForce
from sandbox.panda.trouble.strikes import (
    NO_FATE,
    JobFate,
    JobSeen,
    TaskRules,
    count_strikes,
    offline_sites,
    rules_for,
    write_strikes,
)

LOST_HEARTBEAT = 102
_AT_ONCE = 2000

_START = """
update job set status = v.status, start_time = case v.status when 'running' then cast(:now as timestamp) end,
    state_change_time = :now, modification_time = :now, attributes = job.attributes || cast(v.plan as jsonb)
from unnest(cast(:ids as bigint[]), cast(:statuses as text[]), cast(:plans as text[])) as v (panda_id, status, plan)
where job.panda_id = v.panda_id
"""
_DUE = """
select panda_id, site, start_time, state_change_time, attributes from job
where site = any(:sites) and status in ('sent', 'running')
    and coalesce(cast(attributes ->> 'due' as double precision), 0) <= :now
order by panda_id limit :limit for update skip locked
"""
_END = """
update job set status = 'holding', report = cast(v.report as jsonb), errors = cast(v.errors as jsonb), cpu_s = v.cpu_s,
    end_time = v.ended, state_change_time = :now, modification_time = :now
from unnest(cast(:ids as bigint[]), cast(:reports as text[]), cast(:errors as text[]),
    cast(:cpu_s as double precision[]), cast(:ended as timestamp[])) as v (panda_id, report, errors, cpu_s, ended)
where job.panda_id = v.panda_id
"""


@dataclass(frozen=True)
class _Task:
    """What the jobs of one task have in common."""

    name: str
    step: Step
    master_id: int
    first_file_id: int
    scouts: bool
    per_job: int


class SimulatedNodes:
    """The worker nodes of all simulated queues; their memory is the tables."""

    def __init__(
        self, engine: Engine, rhythms: Rhythms, sites: Mapping[str, Site], scenario: ScenarioInForce, speed: float
    ) -> None:
        self._engine, self._rhythms, self._scenario, self._speed = engine, rhythms, scenario, speed
        self._sites = {name: site for name, site in sites.items() if site.jobs == "simulated"}

    def cycle(self) -> None:
        """End what is over, start what may run."""
        if not self._sites:
            return
        while self._end_some() == _AT_ONCE:
            pass
        offline = offline_sites(self._scenario.current, self._scenario.moment())
        for site in self._sites.values():
            while site.name not in offline and self._start_some(site) == _AT_ONCE:
                pass

    def _start_some(self, site: Site) -> int:
        j = t.job.c
        with self._engine.begin() as connection:
            at_work = select(func.count()).where(j.site == site.name, j.status.in_(("sent", "starting", "running")))
            free = site.slots - connection.execute(at_work).scalar_one()
            query = (
                select(j.panda_id, j.jedi_task_id, j.site, j.attempt_nr, j.n_events, j.parameters)
                .where(j.site == site.name, j.status == "activated")
                .order_by(j.priority.desc(), j.panda_id)
                .limit(max(min(free, _AT_ONCE), 0))
                .with_for_update(skip_locked=True)
            )
            jobs = connection.execute(query).all() if free > 0 else []
            if jobs:
                self._start(connection, site, jobs)
        return len(jobs)

    def _start(self, connection: Connection, site: Site, jobs: Sequence[Any]) -> None:
        moment = utc_now()
        tasks = _tasks_of(connection, {job.jedi_task_id for job in jobs})
        slots = _slots_of(connection, [job.panda_id for job in jobs])
        fates = self._fates(connection, site, jobs, tasks, slots)
        plans = [
            self._plan(
                job, tasks[job.jedi_task_id], slots.get(job.panda_id, 0), fates.get(job.panda_id, NO_FATE), moment
            )
            for job in jobs
        ]
        values = {
            "ids": [job.panda_id for job in jobs],
            "statuses": ["sent" if plan.get("silent") == "sent" else "running" for plan in plans],
            "plans": [json.dumps(plan) for plan in plans],
        }
        connection.execute(text(_START), values | {"now": moment})
        write_strikes(connection, [strike for fate in fates.values() for strike in fate.strikes])

    def _plan(self, job: Any, task: _Task, slot: int, fate: JobFate, moment: datetime) -> dict[str, Any]:
        """What the attempt will come to: kept in the job's attributes until it ends."""
        key = f"{task.name}|{slot - task.first_file_id}|{job.attempt_nr}"
        events = events_of(job.n_events, job.parameters)
        wall_s = fate.wall_s(usual_wall_s(task.step, events, key) / self._speed)
        wall_s = self._rhythms.heartbeat_s if fate.silent else wall_s
        due = moment.replace(tzinfo=UTC).timestamp() + wall_s
        plan: dict[str, Any] = {
            "due": due,
            "wall_s": wall_s,
            "speed": self._speed,
            "step": task.step,
            "key": key,
            "events": events,
        }
        plan["node_slot"] = _node_of(job.panda_id, self._sites[job.site])
        if fate.silent:
            plan["silent"] = fate.silent
        if fate.error is not None:
            plan["error"] = fate.error.fields(last=str(moment))
        return plan | ({"missing": min(fate.missing, events)} if fate.missing else {})

    def _fates(
        self,
        connection: Connection,
        site: Site,
        jobs: Sequence[Any],
        tasks: Mapping[int, _Task],
        slots: Mapping[int, int],
    ) -> dict[int, JobFate]:
        """What the scenario wants of these attempts; empty when no rule means any of their tasks."""
        moment = self._scenario.moment()
        fates: dict[int, JobFate] = {}
        for task_id, task in tasks.items():
            rules = rules_for(self._scenario.current, task.name, moment)
            if rules:
                mine = [job for job in jobs if job.jedi_task_id == task_id]
                fates |= _fates_of(connection, site, rules, task, mine, slots)
        return fates

    def _end_some(self) -> int:
        now = time.time()
        with self._engine.begin() as connection:
            values = {"sites": list(self._sites), "now": now, "limit": _AT_ONCE}
            jobs = connection.execute(text(_DUE), values).all()
            if jobs:
                self._end(connection, jobs)
        return len(jobs)

    def _end(self, connection: Connection, jobs: Sequence[Any]) -> None:
        files = _files_of(connection, [job.panda_id for job in jobs])
        columns: dict[str, list[Any]] = {name: [] for name in ("ids", "reports", "errors", "cpu_s", "ended")}
        for job in jobs:
            report, errors = report_of(job, files.get(job.panda_id, []))
            ended = datetime.fromtimestamp(report["ended"], UTC).replace(tzinfo=None)
            values = (job.panda_id, json.dumps(report), json.dumps(errors), report.get("cpu_s"), ended)
            for name, value in zip(columns, values, strict=True):
                columns[name].append(value)
        connection.execute(text(_END), {**columns, "now": utc_now()})


def events_of(n_events: int, parameters: str) -> int:
    """Events of a job: as its parameters say, else as its slot says, else those of the history."""
    told = number_in(parameters, "n", "nevents", "events")
    return told if told and told > 0 else n_events or EVENTS_A_JOB


def report_of(job: Any, files: Sequence[Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Pilot's report and error fields of an attempt whose time is over.

    Parameters
    ----------
    job
        Row with panda_id, site, start_time, state_change_time, attributes.
    files
        Rows with lfn, dataset, type, size.
    """
    plan = job.attributes
    began = job.start_time or job.state_change_time
    started = began.replace(tzinfo=UTC).timestamp()
    ended = plan.get("due", started)
    if plan.get("silent") or "due" not in plan:
        diag = f"lost heartbeat : {began}"
        lost = {"jobDispatcherErrorCode": LOST_HEARTBEAT, "jobDispatcherErrorDiag": diag}
        return {"lost": True, "diag": diag, "files": {}, "ended": ended}, lost
    known = SimulatedJob(
        attempt_key=plan["key"],
        step=plan["step"],
        events=plan["events"],
        missing=plan.get("missing", 0),
        input_bytes=next((file.size for file in files if file.type == "input"), 0),
        wall_s=plan["wall_s"],
        speed=plan.get("speed", 1.0),
        files=[(file.lfn, file.dataset, file.type) for file in files if file.type in ("output", "log")],
    )
    error = plan.get("error")
    report = build_report(known, failed=error is not None)
    report |= {"panda_id": job.panda_id, "node": f"wn{plan['node_slot']:04d}.{job.site}"}
    report |= {"started": started, "ended": ended, "exit": int(error.get("transExitCode", 0)) if error else 0}
    if error is not None:
        report["error"] = {"exit": report["exit"], "pilot": error.get("pilotErrorCode", 0), "diag": _diag_of(error)}
    return report, error or {"transExitCode": "0"}


def _diag_of(error: Mapping[str, Any]) -> str:
    return next((str(value) for name, value in error.items() if name.endswith("Diag") and value), "")


def _tasks_of(connection: Connection, task_ids: set[int]) -> dict[int, _Task]:
    c, d, f = t.task.c, t.dataset.c, t.file.c
    first = select(func.min(f.file_id)).where(f.dataset_id == d.dataset_id).scalar_subquery()
    query = (
        select(c.jedi_task_id, c.task_name, c.status, d.type, d.dataset_id, first, c.params["nFilesPerJob"])
        .join(t.dataset, d.jedi_task_id == c.jedi_task_id)
        .where(one_of(c.jedi_task_id, list(task_ids)), d.master)
    )
    return {
        task_id: _Task(
            name=name or "",
            step="RECO" if kind == "input" else "SIM",
            master_id=master,
            first_file_id=first or 0,
            scouts=status == "scouting",
            per_job=per_job if isinstance(per_job, int) and per_job > 0 else 1,
        )
        for task_id, name, status, kind, master, first, per_job in connection.execute(query)
    }


def _node_of(panda_id: int, site: Site) -> int:
    """Return the worker node slot of a job, from 1."""
    return panda_id % site.slots + 1


def _slots_of(connection: Connection, panda_ids: Sequence[int]) -> dict[int, int]:
    """Return the first input slot of each job."""
    f = t.job_file.c
    query = select(f.panda_id, func.min(f.file_id)).join(t.dataset, t.dataset.c.dataset_id == f.dataset_id)
    query = query.where(one_of(f.panda_id, panda_ids), t.dataset.c.master).group_by(f.panda_id)
    return dict(connection.execute(query).all())


def _files_of(connection: Connection, panda_ids: Sequence[int]) -> dict[int, list[Any]]:
    f = t.job_file.c
    query = select(f.panda_id, f.lfn, f.dataset, f.type, f.size).where(one_of(f.panda_id, panda_ids))
    found: dict[int, list[Any]] = {}
    for row in connection.execute(query.order_by(f.row_id)):
        found.setdefault(row.panda_id, []).append(row)
    return found


def _fates_of(
    connection: Connection,
    site: Site,
    rules: TaskRules,
    task: _Task,
    jobs: Sequence[Any],
    slots: Mapping[int, int],
) -> dict[int, JobFate]:
    f = t.file.c
    query = select(f.file_id).where(f.dataset_id == task.master_id).order_by(f.file_id)
    places = {file_id: place // task.per_job for place, file_id in enumerate(connection.execute(query).scalars())}
    struck: Counter[tuple[str, str]] = count_strikes(connection, rules, jobs[0].jedi_task_id)
    fates = {}
    for job in jobs:
        slot = slots.get(job.panda_id, 0)
        seen = JobSeen(
            jedi_task_id=job.jedi_task_id,
            panda_id=job.panda_id,
            file_id=slot,
            slot=places.get(slot, 0),
            jobs=-(-len(places) // task.per_job),
            seed=number_in(job.parameters, "seed"),
            site=site.name,
            node=_node_of(job.panda_id, site),
            scout=task.scouts,
        )
        fate = rules.fate(seen, struck)
        if fate is not NO_FATE:
            fates[job.panda_id] = fate
    return fates
