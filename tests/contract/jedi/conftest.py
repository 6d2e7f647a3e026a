"""JEDI in small without its processes: each cycle is a call, a job ends when the test says so; PostgreSQL is real."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, RowMapping, insert, select, update

from sandbox.panda import tables as t
from sandbox.panda.api.describe_task import describe_task
from sandbox.panda.jobs.catalogue import OwnTables
from sandbox.panda.rhythms import Rhythms, utc_now
from sandbox.panda.settings import Site
from sandbox.panda.store import FINAL, find_task
from sandbox.panda.tasks.execute import complete_commands, execute_commands
from sandbox.panda.tasks.feed import feed_defined, revive_pending
from sandbox.panda.tasks.finish import finish_tasks
from sandbox.panda.tasks.generate import Blocked, activate_jobs, generate_jobs, nothing_blocked
from sandbox.panda.tasks.outcome import fail_job, finish_job
from sandbox.panda.tasks.registrar import RefineRules, refine_registered, register_submissions
from sandbox.panda.tasks.throttle import throttle_tasks
from tests.contract.panda import recordings
from tests.postgres_fixture import FreshDatabase

GUID = "49d9ed0d-08ed-4e66-9023-a965e4be180f"
AT_ONCE = Rhythms(**dict.fromkeys(Rhythms.model_fields, 0.0))


def queue(name: str, **about: Any) -> Site:
    """Queue whose jobs write to nowhere."""
    return Site(name=name, rse="LOCAL", folder=Path("/nowhere"), **about)


class World:
    """One JEDI over one database."""

    def __init__(self, engine: Engine, sites: Sequence[Site]) -> None:
        self.engine = engine
        self.sites = {site.name: site for site in sites}
        self.rules = RefineRules("spd")
        self.rhythms = AT_ONCE
        self.limit = 0
        self.blocked: Blocked = nothing_blocked
        self.catalogue = OwnTables()

    def submit(self, params: Mapping[str, Any], parent: int | None = None, user: str = "prodmgr") -> int:
        """Id of a map that the server has stored."""
        with self.engine.begin() as connection:
            task_id = int(connection.execute(select(t.task_number.next_value())).scalar_one())
            values = {"jedi_task_id": task_id, "user_name": user, "params": dict(params), "parent_tid": parent}
            connection.execute(insert(t.submission).values(**values, created=utc_now()))
        return task_id

    def command(self, task_id: int, name: str, comment: str = "", **options: Any) -> None:
        """Give a command, and let JEDI carry it out."""
        self.register(task_id, name, comment, **options)
        self.execute()

    def execute(self) -> None:
        """Begin and complete what was commanded."""
        execute_commands(self.engine, self.rhythms)
        complete_commands(self.engine, self.rhythms)
        execute_commands(self.engine, self.rhythms)

    def register(self, task_id: int, name: str, comment: str = "", **options: Any) -> None:
        """Give a command as the server registers it."""
        with self.engine.begin() as connection:
            values = {"jedi_task_id": task_id, "name": name, "comment": comment or f"{name} by prodmgr"}
            connection.execute(insert(t.command).values(**values, options=options, registered=utc_now()))

    def refine(self) -> None:
        """Register and refine what waits."""
        register_submissions(self.engine, self.rhythms)
        refine_registered(self.engine, self.rhythms, self.rules, self.catalogue)

    def feed(self) -> None:
        """Give tasks their inputs."""
        revive_pending(self.engine, self.rhythms)
        feed_defined(self.engine, self.rhythms, self.catalogue)

    def generate(self) -> None:
        """Throttle, and make jobs."""
        throttle_tasks(self.engine, self.rhythms, self.sites, self.limit)
        generate_jobs(self.engine, self.rhythms, self.sites, "http://panda.example", self.blocked)

    def finish(self) -> None:
        """One cycle of the post-processor."""
        finish_tasks(self.engine, self.catalogue)

    def make_jobs(self) -> None:
        """Everything up to new jobs."""
        self.refine()
        self.feed()
        self.generate()

    def run(self, task_id: int, cycles: int = 12, **ends: Any) -> str:
        """Let a task run to its end, all jobs good unless `ends` says which are not; the last status."""
        for _ in range(cycles):
            self.make_jobs()
            self.end_jobs(task_id, **ends)
            self.finish()
            if self.status(task_id) in FINAL:
                break
        return self.status(task_id)

    def end_jobs(
        self, task_id: int, bad: Callable[[RowMapping], bool] = lambda job: False, wall_s: float = 1.0
    ) -> list[RowMapping]:
        """End all unfinished jobs of a task; those that are ended."""
        jobs = [
            job for job in self.jobs(task_id) if job["status"] in ("pending", "defined", "activated", "sent", "running")
        ]
        for job in jobs:
            self.end_job(job, not bad(job), wall_s)
        return jobs

    def start_jobs(self, task_id: int) -> None:
        """Let the activated jobs of a task run."""
        j = t.job.c
        activated = (j.jedi_task_id == task_id) & (j.status == "activated")
        with self.engine.begin() as connection:
            connection.execute(update(t.job).where(activated).values(status="sent"))
            sent = (j.jedi_task_id == task_id) & (j.status == "sent")
            connection.execute(update(t.job).where(sent).values(status="running"))

    def end_job(self, job: RowMapping, good: bool = True, wall_s: float = 1.0) -> None:
        """End a job after some seconds of work."""
        now = utc_now()
        with self.engine.begin() as connection:
            files = connection.execute(
                select(t.job_file).where(t.job_file.c.panda_id == job["panda_id"], t.job_file.c.type == "output")
            ).mappings()
            said = {"size": 10, "adler32": "0" * 8, "guid": GUID, "events": job["n_events"]}
            report = {"files": {file["lfn"]: said for file in files}, "n_events": job["n_events"], "ended": time.time()}
            times = {"start_time": now - timedelta(seconds=wall_s), "end_time": now}
            statement = update(t.job).where(t.job.c.panda_id == job["panda_id"])
            connection.execute(statement.values(status="holding", report=report, **times))
            row = connection.execute(select(t.job).where(t.job.c.panda_id == job["panda_id"])).mappings().one()
            if good:
                finish_job(connection, row)
            else:
                fail_job(connection, row, {"pilotErrorCode": 1305, "pilotErrorDiag": "bad"})

    def activate(self) -> None:
        """Move jobs one early status on."""
        activate_jobs(self.engine, self.rhythms)

    def task(self, task_id: int) -> RowMapping:
        """Row of a task."""
        with self.engine.connect() as connection:
            row = find_task(connection, task_id)
        assert row is not None, f"task {task_id} is not known"
        return row

    def info(self, task_id: int) -> dict[str, Any]:
        """What `get_detailed_info` tells."""
        with self.engine.connect() as connection:
            return describe_task(connection, self.task(task_id))

    def status(self, task_id: int) -> str:
        """Status of a task."""
        return str(self.task(task_id)["status"])

    def log(self, task_id: int) -> list[str]:
        """All statuses of a task in their order."""
        with self.engine.connect() as connection:
            query = select(t.task_log.c.status).where(t.task_log.c.jedi_task_id == task_id)
            return list(connection.execute(query.order_by(t.task_log.c.log_id)).scalars())

    def reasons(self, task_id: int, status: str) -> list[str | None]:
        """Return the reasons that were logged with a status."""
        c = t.task_log.c
        with self.engine.connect() as connection:
            query = select(c.reason).where(c.jedi_task_id == task_id, c.status == status).order_by(c.log_id)
            return list(connection.execute(query).scalars())

    def jobs(self, task_id: int) -> list[RowMapping]:
        """Jobs of a task by number."""
        with self.engine.connect() as connection:
            query = select(t.job).where(t.job.c.jedi_task_id == task_id).order_by(t.job.c.panda_id)
            return list(connection.execute(query).mappings())

    def files(self, task_id: int, kind: str = "output") -> list[RowMapping]:
        """Files of a task's datasets of a type, in their order."""
        with self.engine.connect() as connection:
            query = (
                select(t.file, t.dataset.c.name)
                .join(t.dataset, t.file.c.dataset_id == t.dataset.c.dataset_id)
                .where(t.file.c.jedi_task_id == task_id, t.dataset.c.type == kind)
            )
            return list(connection.execute(query.order_by(t.file.c.file_id)).mappings())


@pytest.fixture
def world(fresh_database: FreshDatabase) -> Iterator[World]:
    """Yield a JEDI with two queues."""
    engine = t.connect(fresh_database())
    t.create_schema(engine)
    yield World(engine, [queue("SPD_A", slots=4), queue("SPD_B", slots=1)])
    engine.dispose()


def sim_map(seeds: int = 3, name: str = "one", **changes: Any) -> dict[str, Any]:
    """Recorded SIM map with a list of seeds, for any queue."""
    params = copy.deepcopy(recordings.submissions("pairing_shift")[0]["task_parameters"])
    params = _renamed(params, params["taskName"], f"SIM.{name}")
    del params["site"]
    return params | {"pfnList": [str(500 + one) for one in range(seeds)], "nFiles": seeds, **changes}


def reco_map(name: str = "one", **changes: Any) -> dict[str, Any]:
    """Recorded RECO map on the S and P files of `sim_map` of the same name."""
    maps = [copy.deepcopy(body["task_parameters"]) for body in recordings.submissions("pairing_shift")]
    params = _renamed(maps[1], maps[0]["taskName"], f"SIM.{name}")
    params = _renamed(params, maps[1]["taskName"], f"RECO.{name}")
    del params["site"]
    return params | changes


def _renamed(value: Any, old: str, new: str) -> Any:
    if isinstance(value, str):
        return value.replace(old, new)
    if isinstance(value, dict):
        return {key: _renamed(one, old, new) for key, one in value.items()}
    return [_renamed(one, old, new) for one in value] if isinstance(value, list) else value
