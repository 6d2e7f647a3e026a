"""A workload that is under way while server and JEDI are killed, and the count of what came of it.

The client keeps its own book: what was accepted, what is in doubt because the reply never came. The count reads the
tables, not the API: nothing can hide there.
"""

from __future__ import annotations

import json
import random
import threading
import time
from dataclasses import dataclass, field
from typing import Any

import httpx
import psycopg
from psycopg.rows import dict_row

from tests.contract.panda import recordings
from tests.contract.panda.outcome import Outcome
from tests.contract.panda.sandbox_target import Sandbox

REAL, SIMULATED = "SPD_LOCAL", "SPD_SIMULATED"
FINAL = {"done", "finished", "failed", "broken", "aborted", "exhausted"}
PLANS = ("plain", "plain", "kill", "finish", "pause", "soft_finish")
"""What the client does to its tasks, in turn."""


@dataclass
class Sent:
    """One submission as its client knows it: the id is missing where the reply never came."""

    name: str
    seeds: list[int]
    site: str
    plan: str
    task_id: int | None = None
    accepted: list[str] = field(default_factory=list)


class Client(threading.Thread):
    """Submits tasks and gives commands until told to stop; whatever happens to the server."""

    def __init__(self, box: Sandbox, seed: int, token: str = "") -> None:
        super().__init__(name="survivors")
        headers = {"Authorization": f"Bearer {token or box.issuer.token()}", "Origin": "spd.production"}
        headers["Accept"] = "application/json"
        self._http = httpx.Client(base_url=f"{box.url}/api/v1", timeout=20, headers=headers)
        self._choice, self._over = random.Random(seed), threading.Event()
        self.book: list[Sent] = []

    def stop(self) -> None:
        """Submit no more; what was begun is brought to its end."""
        self._over.set()

    def run(self) -> None:
        """Send one task after the other, and what belongs to each."""
        number = 0
        while not self._over.wait(self._choice.uniform(0.3, 1.2)):
            number += 1
            sent = self._new(number)
            self.book.append(sent)
            self._submit(sent)
            if sent.task_id is None:
                self._over.wait(0.5)
            for one in self.book:
                self._command(one)
        for one in self.book:
            while one.task_id is not None and one.plan == "resume" and self.status(one.task_id) not in FINAL:
                self._command(one)
                time.sleep(0.1)

    def _new(self, number: int) -> Sent:
        site = SIMULATED if number % 2 else REAL
        seeds = [1000 * number + index for index in range(1, 61 if site == SIMULATED else 5)]
        return Sent(f"K{number:03d}", seeds, site, PLANS[number // 2 % len(PLANS)])

    def _submit(self, sent: Sent) -> None:
        try:
            reply = self._http.post("task/submit", json=task_map(sent)).json()
        except (httpx.HTTPError, ValueError):
            return  # in doubt
        assert reply["success"], reply
        sent.task_id = int(reply["data"])

    def _command(self, sent: Sent) -> None:
        """Give the command of the plan once it is accepted; a refusal or a lost reply means: later."""
        if sent.task_id is None or sent.plan == "plain" or self._choice.random() < 0.5:
            return
        path = {"soft_finish": "finish"}.get(sent.plan, sent.plan)
        body: dict[str, Any] = {"task_id": sent.task_id, **({"soft": True} if sent.plan == "soft_finish" else {})}
        try:
            reply = self._http.post(f"task/{path}", json=body).json()
        except (httpx.HTTPError, ValueError):
            return
        if reply["data"] == 0:
            sent.accepted.append(sent.plan)
            sent.plan = "resume" if sent.plan == "pause" else "plain"

    def submit(self, body: dict[str, Any]) -> int:
        """Id of a task that `wait` will wait for."""
        reply = self._http.post("task/submit", json=body).json()
        assert reply["success"], reply
        self.book.append(Sent(body["task_parameters"]["taskName"], [], "", "plain", reply["data"]))
        return int(reply["data"])

    def command(self, verb: str, task_id: int, patience_s: float = 60.0) -> None:
        """Give a command as soon as it is accepted."""
        deadline = time.monotonic() + patience_s
        while (reply := self._http.post(f"task/{verb}", json={"task_id": task_id}).json())["data"] != 0:
            assert time.monotonic() < deadline, reply
            time.sleep(0.05)

    def look(self, task_id: int) -> Outcome:
        """What became of a task."""
        types = {"dataset_types": ["input", "pseudo_input", "random_seed", "output", "log"]}
        outcome = Outcome(task_id)
        outcome.info = self._get("task/get_detailed_info", task_id=task_id)
        outcome.jobs = self._get("task/get_job_descriptions", task_id=task_id)
        outcome.datasets = self._get("task/get_datasets_and_files", task_id=task_id, **types)
        return outcome

    def _get(self, path: str, **query: Any) -> Any:
        return self._http.get(path, params=query).json()["data"]

    def status(self, task_id: int) -> str | None:
        """Status of a task, None when there is no answer now."""
        try:
            return self._http.get("task/get_status", params={"task_id": task_id}).json()["data"]
        except (httpx.HTTPError, ValueError):
            return None

    def wait(self, patience_s: float) -> None:
        """Return when every task the client knows is final."""
        deadline = time.monotonic() + patience_s
        waiting = {one.task_id for one in self.book if one.task_id is not None}
        while waiting:
            waiting = {one for one in waiting if self.status(one) not in FINAL}
            assert time.monotonic() < deadline, f"not final after {patience_s} s: {sorted(waiting)}"
            time.sleep(0.1)


def task_map(sent: Sent) -> dict[str, Any]:
    """Body of a submission: 4000 events a job where a process makes them, 4 (about a second) where it is simulated."""
    text = json.dumps(recordings.submissions("pairing_shift")[0]["task_parameters"])
    text = text.replace("A3.lostp", sent.name).replace('"SPD_LOCAL"', f'"{sent.site}"')
    if sent.site == SIMULATED:
        text = text.replace("--n=4000", "--n=4")
    params = json.loads(text) | {"pfnList": [str(seed) for seed in sent.seeds], "nFiles": len(sent.seeds)}
    return {"task_parameters": params, "parent_tid": None}


_SLOTS = """
select f.file_id, f.lfn, f.status, count(j.panda_id) filter (where j.status = 'finished') as good
from file f join dataset d using (dataset_id)
left join job_file jf on jf.file_id = f.file_id left join job j on j.panda_id = jf.panda_id
where d.jedi_task_id = %(task)s and d.master group by f.file_id order by f.file_id
"""
_OUTPUTS = """
select j.panda_id, j.site, j.parameters, j.report, f.lfn, f.size, d.name as dataset
from job j join file f on f.panda_id = j.panda_id join dataset d using (dataset_id)
where j.jedi_task_id = %(task)s and j.status = 'finished' and d.type in ('output', 'log') and f.status = 'finished'
order by j.panda_id, f.file_id
"""
_ODD = {
    "submissions without a task": "select s.jedi_task_id from submission s left join task using (jedi_task_id) "
    "where task.jedi_task_id is null",
    "tasks without a submission": "select t.jedi_task_id from task t left join submission s using (jedi_task_id) "
    "where s.jedi_task_id is null",
    "jobs that never ended": "select panda_id from job where status not in ('finished', 'failed', 'cancelled')",
    "files in use by nobody": "select file_id from file where status in ('running', 'picked')",
    "output names used twice": "select dataset_id, lfn from file join dataset using (dataset_id) "
    "where type in ('output', 'log') group by 1, 2 having count(*) > 1",
    "jobs without all their files": "select panda_id from job join job_file using (panda_id) "
    "group by 1 having count(*) <> 4",
    "finished jobs without all their outputs": "select j.panda_id from job j join job_file jf using (panda_id) "
    "left join file f on f.file_id = jf.file_id and f.panda_id = j.panda_id and f.status = 'finished' "
    "where j.status = 'finished' and jf.type in ('output', 'log') group by 1 having count(f.file_id) <> count(*)",
    "commands left undone": "select command_id from command where not done",
}


class Count:
    """What lies in the tables when all is over."""

    def __init__(self, url: str) -> None:
        address = url.replace("postgresql+psycopg", "postgresql")
        self._connection = psycopg.connect(address, autocommit=True, row_factory=dict_row, connect_timeout=10)

    def rows(self, query: str, **values: Any) -> list[dict[str, Any]]:
        """Rows of a query."""
        return self._connection.execute(query.encode(), values).fetchall()

    def odd(self) -> dict[str, list[dict[str, Any]]]:
        """What must not be, by its name; empty when all is well."""
        found = {name: self.rows(query) for name, query in _ODD.items()}
        return {name: rows for name, rows in found.items() if rows}

    def jedi_works(self) -> bool:
        """Whether a JEDI holds the right to work on this database."""
        query = "select 1 from pg_locks where locktype = 'advisory' and granted and objid = 7263002"
        return bool(self.rows(query))

    def summary(self) -> dict[str, int]:
        """Numbers of jobs by status."""
        rows = self.rows("select status, count(*) from job group by status order by status")
        return {row["status"]: row["count"] for row in rows}

    def tasks_named(self, name: str) -> list[int]:
        """Accepted submissions whose task name ends so."""
        query = "select jedi_task_id from submission where params ->> 'taskName' like %(name)s"
        return [row["jedi_task_id"] for row in self.rows(query, name=f"%.{name}")]

    def status(self, task_id: int) -> str:
        """Status of a task."""
        return str(self.rows("select status from task where jedi_task_id = %(task)s", task=task_id)[0]["status"])

    def slots(self, task_id: int) -> list[dict[str, Any]]:
        """Input slots of a task with the number of finished jobs each."""
        return self.rows(_SLOTS, task=task_id)

    def outputs(self, task_id: int) -> list[dict[str, Any]]:
        """Finished output and log files of the finished jobs of a task."""
        return self.rows(_OUTPUTS, task=task_id)
