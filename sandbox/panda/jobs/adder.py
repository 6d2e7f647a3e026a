"""The adder: jobs in ``holding`` have their outputs registered, then they are finished or failed.

With adder ``rucio`` a job stays in ``holding`` while Rucio is down; nothing is lost, nothing is registered twice.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Engine, RowMapping, select

from sandbox.panda import tables as t
from sandbox.panda.bulk import one_of
from sandbox.panda.jobs.catalogue import Addition, Catalogue, CatalogueRefused, CatalogueUnavailable
from sandbox.panda.jobs.errors import ADDER_FAILED
from sandbox.panda.settings import Site
from sandbox.panda.tasks.instances import register_instances
from sandbox.panda.tasks.outcome import fail_jobs, finish_jobs
from sandbox.panda.trouble.file_deeds import decide_lost, spoil_files
from sandbox.panda.trouble.in_force import ScenarioInForce

log = logging.getLogger(__name__)

_JOBS_AT_ONCE = 2000
_JOBS_A_CALL = 200  # Rucio takes 3-4 ms of its CPU a file: a call must end before its timeout on a busy machine too


class Adder:
    """Registers the files of ended jobs and closes their cases."""

    def __init__(
        self, engine: Engine, sites: Mapping[str, Site], catalogue: Catalogue, scenario: ScenarioInForce
    ) -> None:
        self._engine, self._sites, self._catalogue, self._scenario = engine, sites, catalogue, scenario

    def cycle(self) -> None:
        """Look once at every job in ``holding``."""
        j = t.job.c
        with self._engine.connect() as connection:
            query = select(t.job).where(j.status == "holding").order_by(j.panda_id).limit(_JOBS_AT_ONCE)
            jobs = connection.execute(query).mappings().all()
        good = [job for job in jobs if not job["report"].get("error") and not job["report"].get("lost")]
        bad = {job["panda_id"] for job in jobs} - {job["panda_id"] for job in good}
        if bad:
            self._fail({panda_id: {} for panda_id in bad})
        if good and self._instances_are_there():
            self._register(good)

    def _instances_are_there(self) -> bool:
        try:
            register_instances(self._engine, self._catalogue)
        except CatalogueUnavailable as error:
            log.warning("jobs stay in holding: %s", error)
            return False
        return True

    def _register(self, jobs: Sequence[RowMapping]) -> None:
        with self._engine.begin() as connection:
            lost = decide_lost(connection, self._scenario, jobs)
        size = _JOBS_A_CALL if self._catalogue.registers else len(jobs)
        for start in range(0, len(jobs), size):
            try:
                self._register_piece(jobs[start : start + size], lost)
            except CatalogueUnavailable as error:
                log.warning("%d jobs stay in holding: %s", len(jobs) - start, error)
                return

    def _register_piece(self, jobs: Sequence[RowMapping], lost: Mapping[int, Sequence[str]]) -> None:
        """Register the files of some jobs in one call; refused ones are halved until the bad job is alone."""
        try:
            self._catalogue.add_files([one for some in self._additions(jobs, lost).values() for one in some])
        except CatalogueRefused as error:
            if len(jobs) == 1:
                self._fail_one(jobs[0]["panda_id"], error)
                return
            self._register_piece(jobs[: len(jobs) // 2], lost)
            self._register_piece(jobs[len(jobs) // 2 :], lost)
        else:
            self._finish([job["panda_id"] for job in jobs], lost)

    def _fail_one(self, panda_id: int, error: CatalogueRefused) -> None:
        log.error("job %s cannot be registered: %s", panda_id, error)
        said = f"Could not add files to DDM: {error}"
        self._fail({panda_id: {"ddmErrorCode": ADDER_FAILED, "ddmErrorDiag": said}})

    def _additions(
        self, jobs: Sequence[RowMapping], lost: Mapping[int, Sequence[str]]
    ) -> Mapping[int, Sequence[Addition]]:
        """What is to be registered, by job; nothing where the catalogue is PanDA's own tables."""
        found: dict[int, list[Addition]] = {job["panda_id"]: [] for job in jobs}
        if not self._catalogue.registers:
            return found
        by_id = {job["panda_id"]: job for job in jobs}
        with self._engine.connect() as connection:
            f = t.job_file.c
            query = select(f.panda_id, f.lfn, f.dataset).where(one_of(f.panda_id, list(by_id)))
            rows = connection.execute(query.where(f.type.in_(("output", "log")))).all()
        for panda_id, lfn, dataset in rows:
            job = by_id[panda_id]
            site, told = self._sites.get(job["site"]), job["report"]["files"].get(lfn)
            if site is None:
                raise CatalogueRefused(f"queue {job['site']} is not known any more")
            if told is not None and lfn not in lost.get(panda_id, ()):
                found[panda_id].append(Addition(dataset, site.rse, lfn, told["size"], told["adler32"]))
        return found

    def _finish(self, panda_ids: Sequence[int], lost: Mapping[int, Sequence[str]]) -> None:
        with self._engine.begin() as connection:
            jobs = _still_holding(connection, panda_ids)
            finish_jobs(connection, jobs, lost)
            spoil_files(connection, self._scenario, self._sites, jobs)

    def _fail(self, errors: Mapping[int, dict[str, Any]]) -> None:
        with self._engine.begin() as connection:
            fail_jobs(connection, _still_holding(connection, list(errors)), errors)


def _still_holding(connection: Connection, panda_ids: Sequence[int]) -> Sequence[RowMapping]:
    """Jobs that no command was faster with, locked."""
    j = t.job.c
    query = select(t.job).where(one_of(j.panda_id, panda_ids), j.status == "holding")
    return connection.execute(query.order_by(j.panda_id).with_for_update()).mappings().all()
