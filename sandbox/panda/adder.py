"""The adder: jobs in ``holding`` have their outputs registered, then they are finished or failed.

With adder ``rucio`` a job stays in ``holding`` while Rucio is down; nothing is lost, nothing is registered twice.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence

from sqlalchemy import Engine, RowMapping, select

from sandbox.panda import tables as t
from sandbox.panda.catalogue import Addition, Catalogue, CatalogueRefused, CatalogueUnavailable
from sandbox.panda.outcome import fail_job, finish_job
from sandbox.panda.scenario import ScenarioFile, within
from sandbox.panda.settings import Site
from sandbox.panda.store import count_journal, find_task, write_journal

log = logging.getLogger(__name__)

ADDER_ERROR = 200
_JOBS_A_CYCLE = 200


class Adder:
    """Registers the files of ended jobs and closes their cases."""

    def __init__(self, engine: Engine, sites: dict[str, Site], catalogue: Catalogue, scenario: ScenarioFile) -> None:
        self._engine, self._sites, self._catalogue, self._scenario = engine, sites, catalogue, scenario

    def cycle(self) -> None:
        """Look once at every job in ``holding``."""
        j = t.job.c
        with self._engine.connect() as connection:
            query = select(t.job).where(j.status == "holding").order_by(j.panda_id).limit(_JOBS_A_CYCLE)
            jobs = connection.execute(query).mappings().all()
        good = [job for job in jobs if not job["report"].get("error") and not job["report"].get("lost")]
        for job in jobs:
            if job not in good:
                self._settle(job, ok=False)
        if good:
            self._register(good)

    def _register(self, jobs: Sequence[RowMapping]) -> None:
        lost = {job["panda_id"]: self._lost_files(job) for job in jobs}
        additions: dict[int, list[Addition]] = {}
        try:
            for job in jobs:
                additions[job["panda_id"]] = self._additions(job, lost[job["panda_id"]])
            self._catalogue.add_files([one for some in additions.values() for one in some])
        except CatalogueUnavailable as error:
            log.warning("%d jobs stay in holding: %s", len(jobs), error)
            return
        except CatalogueRefused:
            self._register_singly(jobs, lost)
            return
        for job in jobs:
            self._settle(job, ok=True, lost=lost[job["panda_id"]])

    def _register_singly(self, jobs: Sequence[RowMapping], lost: dict[int, list[str]]) -> None:
        """Find out which job is the bad one; the others are fine."""
        for job in jobs:
            try:
                self._catalogue.add_files(self._additions(job, lost[job["panda_id"]]))
            except CatalogueUnavailable as error:
                log.warning("job %s stays in holding: %s", job["panda_id"], error)
            except CatalogueRefused as error:
                log.error("job %s cannot be registered: %s", job["panda_id"], error)
                self._settle(job, ok=False, diag=f"Could not add files to DDM: {error}")
            else:
                self._settle(job, ok=True, lost=lost[job["panda_id"]])

    def _additions(self, job: RowMapping, lost: Sequence[str]) -> list[Addition]:
        site = self._sites.get(job["site"])
        if site is None:
            raise CatalogueRefused(f"queue {job['site']} is not known any more")
        with self._engine.connect() as connection:
            f = t.job_file.c
            query = select(f.lfn, f.dataset).where(f.panda_id == job["panda_id"], f.type.in_(("output", "log")))
            rows = connection.execute(query).tuples().all()
        reported = job["report"]["files"]
        return [
            Addition(dataset, site.rse, lfn, reported[lfn]["size"], reported[lfn]["adler32"])
            for lfn, dataset in rows
            if lfn not in lost and lfn in reported
        ]

    def _lost_files(self, job: RowMapping) -> list[str]:
        """Names of outputs the scenario keeps out of the catalogue."""
        lost = []
        with self._engine.begin() as connection:
            task = find_task(connection, job["jedi_task_id"])
            name = (task["task_name"] if task else "") or ""
            for rule in self._scenario.current.rules:
                if rule.lose_file is None or not rule.match.hits_task(name):
                    continue
                target = f"task {job['jedi_task_id']}"
                for lfn in sorted(job["report"]["files"]):
                    struck = count_journal(connection, rule.key, target)
                    if _matches(rule.match.file, lfn) and within(rule.lose_file.times, struck):
                        ids = {"jedi_task_id": job["jedi_task_id"], "panda_id": job["panda_id"]}
                        write_journal(connection, rule.key, target, f"file lost: {lfn}", **ids)
                        lost.append(lfn)
        return lost

    def _settle(self, job: RowMapping, ok: bool, lost: Sequence[str] = (), diag: str = "") -> None:
        with self._engine.begin() as connection:
            query = select(t.job).where(t.job.c.panda_id == job["panda_id"]).with_for_update()
            row = connection.execute(query).mappings().one()
            if row["status"] != "holding":
                return  # a command was faster
            if ok:
                finish_job(connection, row, lost)
            else:
                fail_job(connection, row, {"ddmErrorCode": ADDER_ERROR, "ddmErrorDiag": diag} if diag else None)


def _matches(pattern: str, lfn: str) -> bool:
    return bool(re.search(pattern or r"\.P\.", lfn))
