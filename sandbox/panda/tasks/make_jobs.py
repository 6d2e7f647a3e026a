"""The rows of new jobs, for thousands of jobs in a few statements; `generate` decides which slots become jobs.

Of two inputs the second is consumed by position, and once it is used up from its beginning again (``pairing_shift``);
seeds of ``${RNDMSEED}`` are a pool whose lowest free number goes first (``random_seed_pool_shift``); serial numbers go
on after failures (``seed_list``).
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import BigInteger, Connection, RowMapping, cast, func, insert, select, text, update

from sandbox.panda import tables as t
from sandbox.panda.bulk import copy_rows, draw_numbers, one_of
from sandbox.panda.rhythms import utc_now
from sandbox.panda.settings import Site
from sandbox.panda.store import datasets_of
from sandbox.panda.tasks.job_plan import JobPlanner, PlannedJob
from sandbox.panda.tasks.refine import TEMPLATE

_JOB = (
    "panda_id", "jedi_task_id", "status", "job_name", "attempt_nr", "max_attempt", "failed_attempt", "priority",
    "site", "parameters", "n_events", "creation_time", "modification_time", "state_change_time", "attributes",
)  # fmt: skip
_FILE = ("file_id", "dataset_id", "jedi_task_id", "lfn", "status", "panda_id")
_JOB_FILE = (
    "panda_id", "file_id", "dataset_id", "type", "dataset", "lfn", "scope", "status", "attempt_nr", "size", "adler32",
    "guid", "token", "destination",
)  # fmt: skip
_TAKE = """
update file set status = 'running', panda_id = v.panda_id
from unnest(cast(:file_id as bigint[]), cast(:panda_id as bigint[])) as v (file_id, panda_id)
where file.file_id = v.file_id
"""
_LIST_AGAIN = """
insert into file (dataset_id, jedi_task_id, lfn, scope, status, max_attempt, n_events, size, adler32, guid)
select dataset_id, jedi_task_id, lfn, scope, 'ready', max_attempt, n_events, size, adler32, guid
from file
where file_id in (select min(file_id) from file where dataset_id = :dataset_id group by lfn)
order by file_id
"""


class JobMaker:
    """Writes jobs of one task; lives for one transaction."""

    def __init__(self, connection: Connection, task: RowMapping, scouts: bool = False) -> None:
        self._scouts = scouts
        self._connection, self._task = connection, task
        datasets = datasets_of(connection, task["jedi_task_id"])
        self._datasets = {one["dataset_id"]: one for one in datasets}
        self._master = next(one for one in datasets if one["master"])
        self._others = [one for one in datasets if one["type"] == "input" and not one["master"]]
        self._pool = next((one for one in datasets if one["type"] == "random_seed"), None)
        self._templates = [one for one in datasets if one["type"].startswith(TEMPLATE)]
        self._instances = {(one["template_id"], one["site"]): one for one in datasets if one["template_id"]}
        self._outputs = self._templates or [one for one in datasets if one["type"] in ("output", "log")]
        self._planner = JobPlanner(task["params"], task["jedi_task_id"])
        self._places: dict[int, int] = {}
        self._jobs: list[tuple[Any, ...]] = []
        self._files: list[tuple[Any, ...]] = []
        self._job_files: list[tuple[Any, ...]] = []
        self._taken: dict[int, int] = {}

    def make(self, groups: Sequence[Sequence[RowMapping]], sites: Sequence[Site]) -> None:
        """One job for each group of slots, at the queue of the same position.

        Raises
        ------
        sandbox.panda.tasks.templates.TemplateInvalid
            The map's templates cannot be filled; nothing of this transaction may be kept.
        """
        if not groups:
            return
        others = {
            one["stream"]: self._next_of(one, [len(slots) * one["ratio"] for slots in groups]) for one in self._others
        }
        seeds = self._next_seeds(len(groups)) if self._pool else []
        numbers = draw_numbers(self._connection, t.job_number.name, len(groups))
        names = self._known_names(groups)
        self._places = self._places_of_slots() if self._task["attributes"].get("attempt_suffix") else {}
        for place, (panda_id, slots, site) in enumerate(zip(numbers, groups, sites, strict=True)):
            further = {stream: rows[place] for stream, rows in others.items()}
            plan = self._plan(place, slots, further, seeds, site)
            name = names.get(slots[0]["panda_id"]) or f"{self._task['task_name']}.{panda_id}"
            self._add_job(panda_id, name, slots[0], site, plan)
            inputs = [*slots, *(row for rows in further.values() for row in rows), *seeds[place : place + 1]]
            self._add_inputs(panda_id, inputs)
            self._add_outputs(panda_id, plan)
        self._write(len(groups))

    def _plan(
        self,
        place: int,
        slots: Sequence[RowMapping],
        further: Mapping[str, Sequence[Any]],
        seeds: Sequence[Any],
        site: Site,
    ) -> PlannedJob:
        seed = int(seeds[place]["lfn"]) + self._pool["first_number"] if self._pool else None
        pseudo = self._master["type"] == "pseudo_input"
        if self._places:  # set-ups that name attempts: the slot's own number, and the attempt at the end
            serials = [(one, self._places[slots[0]["file_id"]]) for one in self._filled_at(site)]
            return self._planner.plan(slots, further, seed, serials, pseudo, f".{slots[0]['attempt_nr'] + 1}")
        numbers = [one["next_serial"] + place for one in self._outputs]  # a template's count for all its instances
        serials = list(zip(self._filled_at(site), numbers, strict=True))
        return self._planner.plan(slots, further, seed, serials, pseudo)

    def _filled_at(self, site: Site) -> Sequence[RowMapping]:
        """Datasets that jobs at a queue fill: those of the map, or its templates' instances for the queue."""
        if not self._templates:
            return self._outputs
        logs_first = sorted(self._templates, key=lambda one: one["type"] != f"{TEMPLATE}log")
        for template in logs_first:  # in this order they are numbered (``stock_refiner``)
            if (template["dataset_id"], site.name) not in self._instances:
                self._instances[template["dataset_id"], site.name] = self._instantiate(template, site)
        return [self._instances[one["dataset_id"], site.name] for one in self._templates]

    def _instantiate(self, template: RowMapping, site: Site) -> RowMapping:
        [dataset_id] = draw_numbers(self._connection, "dataset_dataset_id_seq", 1)
        kept = ("jedi_task_id", "first_number", "pattern", "token")
        values = {name: template[name] for name in kept} | {
            "dataset_id": dataset_id,
            "name": f"{template['name']}.{dataset_id}",
            "type": template["type"].removeprefix(TEMPLATE),
            "destination": template["destination"] or site.name,
            "template_id": template["dataset_id"],
            "site": site.name,
        }
        made = self._connection.execute(insert(t.dataset).returning(t.dataset), values).mappings().one()
        self._datasets[dataset_id] = made
        return made

    def _places_of_slots(self) -> dict[int, int]:
        """Return the place of each slot among all slots of the task, from 1."""
        f = t.file.c
        query = select(f.file_id).where(f.dataset_id == self._master["dataset_id"]).order_by(f.file_id)
        return {file_id: place for place, file_id in enumerate(self._connection.execute(query).scalars(), start=1)}

    def _next_of(self, dataset: RowMapping, counts: Sequence[int]) -> list[list[RowMapping]]:
        """Take free files by position for each job; when none is left, all are listed again (``pairing_shift``)."""
        wanted, free = sum(counts), self._free_of(dataset)
        while len(free) < wanted and self._list_again(dataset):
            free = self._free_of(dataset)
        rows = iter(free)
        return [list(itertools.islice(rows, count)) for count in counts]

    def _free_of(self, dataset: RowMapping) -> Sequence[RowMapping]:
        f = t.file.c
        query = select(t.file).where(f.dataset_id == dataset["dataset_id"], f.status == "ready").order_by(f.file_id)
        return self._connection.execute(query).mappings().all()

    def _list_again(self, dataset: RowMapping) -> int:
        """Write each file of a dataset once more, free; how many there are."""
        values = {"dataset_id": dataset["dataset_id"]}
        return self._connection.execute(text(_LIST_AGAIN), values).rowcount

    def _next_seeds(self, count: int) -> list[RowMapping]:
        """Return the lowest free numbers of the pool, and new ones past its end."""
        if self._pool is None:
            raise RuntimeError("a task without a seed pool asked for seeds")
        f, dataset_id = t.file.c, self._pool["dataset_id"]
        free = select(t.file).where(f.dataset_id == dataset_id, f.status == "ready")
        found: list[RowMapping] = list(
            self._connection.execute(free.order_by(cast(f.lfn, BigInteger)).limit(count)).mappings()
        )
        if len(found) == count:
            return found
        size = select(func.count()).select_from(t.file).where(f.dataset_id == dataset_id)
        first = self._connection.execute(size).scalar_one() + 1
        values = [
            {
                "dataset_id": dataset_id,
                "jedi_task_id": self._task["jedi_task_id"],
                "lfn": str(first + number),
                "status": "ready",
            }
            for number in range(count - len(found))
        ]
        made = self._connection.execute(insert(t.file).returning(t.file), values).mappings().all()
        return [*found, *sorted(made, key=lambda row: int(row["lfn"]))]

    def _known_names(self, groups: Sequence[Sequence[RowMapping]]) -> dict[int, str]:
        """Names of the jobs that had the slots before: later attempts keep them."""
        earlier = [slots[0]["panda_id"] for slots in groups if slots[0]["panda_id"]]
        if not earlier:
            return {}
        query = select(t.job.c.panda_id, t.job.c.job_name).where(one_of(t.job.c.panda_id, earlier))
        return dict(self._connection.execute(query).all())

    def _add_job(self, panda_id: int, name: str, slot: RowMapping, site: Site, plan: PlannedJob) -> None:
        task, now = self._task, utc_now()
        attempt = slot["attempt_nr"] + 1
        max_attempt = -1 if "disableAutoRetry" in task["params"] else attempt
        activated: dict[str, Any] = {"activated": (task["activated_time"] or now).timestamp()}
        activated |= {"assigned": task["current_priority"], **({"scout": True} if self._scouts else {})}
        self._jobs.append(
            (panda_id, task["jedi_task_id"], "pending", name, attempt, max_attempt, slot["failed_attempt"],
             task["current_priority"], site.name, plan.parameters, plan.n_events, now, now, now, activated)
        )  # fmt: skip

    def _add_inputs(self, panda_id: int, files: Sequence[RowMapping]) -> None:
        for one in files:
            dataset = self._datasets[one["dataset_id"]]
            is_input = dataset["type"] == "input"
            self._taken[one["file_id"]] = panda_id
            self._job_files.append(
                (panda_id, one["file_id"], dataset["dataset_id"], "input" if is_input else "pseudo_input",
                 dataset["name"], one["lfn"], one["scope"], "ready" if is_input else "unknown", one["attempt_nr"],
                 one["size"] or 0, one["adler32"], one["guid"], None, None)
            )  # fmt: skip

    def _add_outputs(self, panda_id: int, plan: PlannedJob) -> None:
        for dataset_id, lfn in plan.outputs:
            dataset = self._datasets[dataset_id]
            self._files.append((None, dataset_id, self._task["jedi_task_id"], lfn, "running", panda_id))
            self._job_files.append(
                (panda_id, None, dataset_id, dataset["type"], dataset["name"], lfn, None, "unknown", 0, 0, None, None,
                 dataset["token"], dataset["destination"])
            )  # fmt: skip

    def _write(self, count: int) -> None:
        """Write everything; new files get their numbers in the order of the jobs."""
        file_ids = draw_numbers(self._connection, "file_file_id_seq", len(self._files))
        numbers = iter(file_ids)
        copy_rows(self._connection, t.job, _JOB, self._jobs)
        files = (row[1:] for row in self._files)
        copy_rows(self._connection, t.file, _FILE, ((one, *row) for one, row in zip(file_ids, files, strict=True)))
        rows = (row if row[1] is not None else (row[0], next(numbers), *row[2:]) for row in self._job_files)
        copy_rows(self._connection, t.job_file, _JOB_FILE, rows)
        values = {
            "file_id": list(self._taken),
            "panda_id": list(self._taken.values()),
        }
        self._connection.execute(text(_TAKE), values)
        ids = [one["dataset_id"] for one in self._outputs]
        d = t.dataset.c
        self._connection.execute(
            update(t.dataset).where(one_of(d.dataset_id, ids)).values(next_serial=d.next_serial + count)
        )
