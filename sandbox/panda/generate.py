"""The job generator: slots that are ready become jobs, as recorded, its dangers included.

Of two inputs the second is consumed by position, and once it is used up from its beginning again (``pairing_shift``);
seeds of ``${RNDMSEED}`` are a pool whose lowest free number goes first (``random_seed_pool_shift``); serial numbers go
on after failures (``seed_list``).
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import BigInteger, Connection, Engine, RowMapping, cast, func, insert, select, text, update

from sandbox.panda import tables as t
from sandbox.panda.feed import BUNCH, parent_works
from sandbox.panda.job_plan import PlannedJob, plan_job
from sandbox.panda.refine import SCOUT_THRESHOLD, SCOUTS
from sandbox.panda.rhythms import Rhythms, utc_now
from sandbox.panda.settings import Site
from sandbox.panda.store import UNFINISHED_JOB, count_master_files, datasets_of, find_task, set_status
from sandbox.panda.templates import TemplateInvalid

log = logging.getLogger(__name__)

_JOBS_A_CYCLE = 1000
_WORKING = ("ready", "running", "scouting")


def generate_jobs(engine: Engine, rhythms: Rhythms, sites: dict[str, Site], monitor_url: str) -> None:
    """Make jobs for every task that has slots to work on."""
    c = t.task.c
    with engine.connect() as connection:
        query = select(c.jedi_task_id).where(c.status.in_(_WORKING))
        waiting = connection.execute(query.order_by(c.current_priority.desc(), c.jedi_task_id)).scalars().all()
    for jedi_task_id in waiting:
        try:
            with engine.begin() as connection:
                row = find_task(connection, jedi_task_id, lock=True)
                if row is not None and row["status"] in _WORKING:
                    _generate(connection, row, rhythms, sites, monitor_url)
        except TemplateInvalid as error:
            with engine.begin() as connection:
                set_status(connection, jedi_task_id, "tobroken", f"failed to generate jobs: {error}")


def _generate(
    connection: Connection, row: RowMapping, rhythms: Rhythms, sites: dict[str, Site], monitor_url: str
) -> None:
    slots = _slots_to_take(connection, row)
    if not slots:
        return
    site = _choose_site(connection, row["site"], sites)
    if site is None:
        link = f'<a href="{monitor_url}/cache/jedilog/{row["jedi_task_id"]}">log</a>'
        reason = f"{link} : unknown site={row['site']}. brokerage failed for 1 input datasets when trying 1 datasets."
        later = utc_now() + timedelta(seconds=rhythms.pending_s)
        columns = {"look_again": later, "old_status": "ready", "frozen_time": row["frozen_time"] or utc_now()}
        set_status(connection, row["jedi_task_id"], "pending", reason, **columns)
        return
    scouts = _wants_scouts(connection, row)
    per_job = _files_per_job(row)
    groups = [slots[start : start + per_job] for start in range(0, len(slots), per_job)]
    _Maker(connection, row, site).make(groups[:SCOUTS] if scouts else groups)
    _go_on(connection, row, scouts)


def _go_on(connection: Connection, row: RowMapping, scouts: bool) -> None:
    jedi_task_id = row["jedi_task_id"]
    if scouts:
        attributes = {**row["attributes"], "splitRule": _scout_rule(row, "will_update_requirements")}
        set_status(connection, jedi_task_id, "scouting", hour_back=True, scouting="will", attributes=attributes)
    elif row["status"] == "ready":
        set_status(connection, jedi_task_id, "running", hour_back=True, queued_time=None, frozen_time=None)
    else:
        back = utc_now() - timedelta(hours=1)
        connection.execute(update(t.task).where(t.task.c.jedi_task_id == jedi_task_id).values(modification_time=back))


def _scout_rule(row: RowMapping, use: str) -> str:
    return str(row["attributes"].get("splitRule", "")).replace("useScout=no_use", f"useScout={use}")


def _files_per_job(row: RowMapping) -> int:
    wanted = row["params"].get("nFilesPerJob", 1)
    return wanted if isinstance(wanted, int) and wanted > 0 else 1


def _wants_scouts(connection: Connection, row: RowMapping) -> bool:
    if row["scouting"] != "no_use" or row["status"] != "ready":
        return False
    counts = count_master_files(connection, row["jedi_task_id"])
    return counts["total"] == counts["tobedone"] and counts["total"] // _files_per_job(row) >= SCOUT_THRESHOLD


def _slots_to_take(connection: Connection, row: RowMapping) -> Sequence[RowMapping]:
    f, d = t.file.c, t.dataset.c
    query = (
        select(t.file)
        .join(t.dataset, f.dataset_id == d.dataset_id)
        .where(d.jedi_task_id == row["jedi_task_id"], d.master, f.status == "ready", f.attempt_nr < f.max_attempt)
        .order_by(f.file_id)
        .limit(_JOBS_A_CYCLE * _files_per_job(row))
        .with_for_update(of=t.file)
    )
    if row["status"] == "scouting":
        query = query.where(f.attempt_nr > 0)  # only scouts that failed; the rest waits for their verdict
    slots = connection.execute(query).mappings().all()
    if parent_works(connection, row):
        slots = slots[: len(slots) // BUNCH * BUNCH]
    return slots


def _choose_site(connection: Connection, wanted: str | None, sites: dict[str, Site]) -> Site | None:
    """Return the wanted queue, or without a wish the one with the least work a slot."""
    if wanted:
        return sites.get(wanted)
    j = t.job.c
    query = select(j.site, func.count()).where(j.status.in_(UNFINISHED_JOB)).group_by(j.site)
    load: dict[str, int] = dict(connection.execute(query).tuples().all())
    return min(sites.values(), key=lambda site: (load.get(site.name, 0) / site.slots, site.name), default=None)


class _Maker:
    """Writes jobs of one task; lives for one transaction."""

    def __init__(self, connection: Connection, row: RowMapping, site: Site) -> None:
        self._connection, self._row, self._site = connection, row, site
        datasets = datasets_of(connection, row["jedi_task_id"])
        self._datasets = {one["dataset_id"]: one for one in datasets}
        self._master = next(one for one in datasets if one["master"])
        self._others = [one for one in datasets if one["type"] == "input" and not one["master"]]
        self._pool = next((one for one in datasets if one["type"] == "random_seed"), None)
        self._outputs = [one for one in datasets if one["type"] in ("output", "log")]
        self._serials = {one["dataset_id"]: one["next_serial"] for one in self._outputs}

    def make(self, groups: Sequence[Sequence[RowMapping]]) -> None:
        """One job for each group of slots."""
        for slots in groups:
            self._make_one(slots)
        for dataset_id, serial in self._serials.items():
            statement = update(t.dataset).where(t.dataset.c.dataset_id == dataset_id)
            self._connection.execute(statement.values(next_serial=serial))

    def _make_one(self, slots: Sequence[RowMapping]) -> None:
        others = {one["stream"]: self._next_of(one, len(slots) * one["ratio"]) for one in self._others}
        seed_file = self._next_seed() if self._pool else None
        seed = int(seed_file["lfn"]) + self._pool["first_number"] if seed_file and self._pool else None
        serials = [(one, self._serials[one["dataset_id"]]) for one in self._outputs]
        plan = plan_job(self._row["params"], slots, others, seed, serials, self._master["type"] == "pseudo_input")
        panda_id = self._connection.execute(select(t.job_number.next_value())).scalar_one()
        self._write_job(panda_id, slots, plan)
        inputs = [*slots, *(row for rows in others.values() for row in rows), *([seed_file] if seed_file else [])]
        self._take(panda_id, inputs)
        self._write_outputs(panda_id, plan)
        for one in self._outputs:
            self._serials[one["dataset_id"]] += 1

    def _next_of(self, dataset: RowMapping, count: int) -> list[RowMapping]:
        """Take the next unused files by position; when none is left, begin again with the least used."""
        f = t.file.c
        query = (
            select(t.file)
            .where(f.dataset_id == dataset["dataset_id"])
            .order_by((f.status != "ready"), f.uses, f.file_id)
            .limit(count)
        )
        rows = list(self._connection.execute(query).mappings().all())
        for row in rows:
            self._connection.execute(
                update(t.file).where(f.file_id == row["file_id"]).values(status="running", uses=f.uses + 1)
            )
        return rows

    def _next_seed(self) -> RowMapping:
        """Return the lowest free number of the pool, or a new one past its end."""
        if self._pool is None:
            raise RuntimeError("a task without a seed pool asked for a seed")
        f, dataset_id = t.file.c, self._pool["dataset_id"]
        number = cast(f.lfn, BigInteger)
        free = select(t.file).where(f.dataset_id == dataset_id, f.status == "ready").order_by(number).limit(1)
        found = self._connection.execute(free).mappings().first()
        if found is not None:
            return found
        count = select(func.count()).select_from(t.file).where(f.dataset_id == dataset_id)
        values = {
            "dataset_id": dataset_id,
            "jedi_task_id": self._row["jedi_task_id"],
            "lfn": str(self._connection.execute(count).scalar_one() + 1),
            "status": "ready",
        }
        return self._connection.execute(insert(t.file).values(**values).returning(t.file)).mappings().one()

    def _write_job(self, panda_id: int, slots: Sequence[RowMapping], plan: PlannedJob) -> None:
        row, first, now = self._row, slots[0], utc_now()
        attempt = first["attempt_nr"] + 1
        params = row["params"]
        values = {
            "panda_id": panda_id,
            "jedi_task_id": row["jedi_task_id"],
            "status": "pending",
            "job_name": self._job_name(panda_id, first),
            "attempt_nr": attempt,
            "max_attempt": -1 if "disableAutoRetry" in params else attempt,
            "failed_attempt": first["failed_attempt"],
            "priority": row["current_priority"],
            "site": self._site.name,
            "parameters": plan.parameters,
            "n_events": plan.n_events,
            "creation_time": now,
            "modification_time": now,
            "state_change_time": now,
            "attributes": {"activated": (row["activated_time"] or now).timestamp()},
        }
        self._connection.execute(insert(t.job).values(**values))

    def _job_name(self, panda_id: int, slot: RowMapping) -> str:
        """Task name and number of the slot's first job: later attempts keep it."""
        if slot["panda_id"]:
            query = select(t.job.c.job_name).where(t.job.c.panda_id == slot["panda_id"])
            name = self._connection.execute(query).scalar_one_or_none()
            if name:
                return str(name)
        return f"{self._row['task_name']}.{panda_id}"

    def _take(self, panda_id: int, files: Sequence[RowMapping]) -> None:
        rows = []
        for one in files:
            dataset = self._datasets[one["dataset_id"]]
            is_input = dataset["type"] == "input"
            rows.append(
                self._file_row(panda_id, one["file_id"], dataset, one["lfn"])
                | {
                    "type": "input" if is_input else "pseudo_input",
                    "status": "ready" if is_input else "unknown",
                    "scope": one["scope"],
                    "attempt_nr": one["attempt_nr"],
                    "size": one["size"] or 0,
                    "adler32": one["adler32"],
                    "guid": one["guid"],
                    "token": None,
                    "destination": None,
                }
            )
        self._connection.execute(insert(t.job_file), rows)
        ids = [one["file_id"] for one in files]
        self._connection.execute(
            update(t.file).where(t.file.c.file_id.in_(ids)).values(status="running", panda_id=panda_id)
        )

    def _write_outputs(self, panda_id: int, plan: PlannedJob) -> None:
        for dataset_id, lfn in plan.outputs:
            dataset = self._datasets[dataset_id]
            values = {
                "dataset_id": dataset_id,
                "jedi_task_id": self._row["jedi_task_id"],
                "lfn": lfn,
                "status": "running",
                "panda_id": panda_id,
            }
            file_id = self._connection.execute(insert(t.file).values(**values).returning(t.file.c.file_id)).scalar_one()
            row = self._file_row(panda_id, file_id, dataset, lfn) | {"type": dataset["type"], "status": "unknown"}
            row |= {"token": dataset["token"], "destination": dataset["destination"]}
            self._connection.execute(insert(t.job_file).values(**row))

    def _file_row(self, panda_id: int, file_id: int, dataset: RowMapping, lfn: str) -> dict[str, Any]:
        return {
            "panda_id": panda_id,
            "file_id": file_id,
            "dataset_id": dataset["dataset_id"],
            "dataset": dataset["name"],
            "lfn": lfn,
        }


def activate_jobs(engine: Engine, rhythms: Rhythms) -> None:
    """Move jobs on: pending, defined, activated, one step each `activate_s`."""
    limit = utc_now() - timedelta(seconds=rhythms.activate_s)
    with engine.begin() as connection:
        for status, following in (("defined", "activated"), ("pending", "defined")):
            connection.execute(
                text(
                    "update job set status = :following, modification_time = :now, state_change_time = :now "
                    "where status = :status and state_change_time <= :limit"
                ),
                {"following": following, "status": status, "now": utc_now(), "limit": limit},
            )
