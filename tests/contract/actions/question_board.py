"""A small Airflow API over HTTP that keeps the runs of one DAG and knows people."""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import unquote

from tests.contract.actions.airflow_api import Airflow

USERS = "/auth/fab/v1/users/"
PEOPLE = {"manager": "ProductionManager", "deputy": "ProductionManager", "operator": "Op", "admin": "Admin"}


@dataclass
class Board(Airflow):
    """Runs by id, as Airflow would show them."""

    runs: dict[str, dict] = field(default_factory=dict)
    roles: dict[str, str] = field(default_factory=lambda: dict(PEOPLE))  # user -> role at Airflow
    asked: dict[int, dict] = field(default_factory=dict)  # try -> its question, with the answer when it has one

    def answer(self, method: str, path: str, body: dict) -> tuple[int, dict]:
        """Status and body of one call."""
        if path.startswith(USERS) and not self.busy:
            return self._user(path.removeprefix(USERS))
        if (number := path.partition("/hitlDetails/tries/")[2]) and not self.busy:
            found = self.asked.get(int(number))
            return (404, {"detail": "not found"}) if found is None else (200, found)
        place, _, run_id = path.partition("/dagRuns")
        run_id = unquote(run_id.strip("/"))
        if place == path or not self.shown or self.busy:
            return super().answer(method, path, body)
        if method == "POST":
            return self._start(body)
        if not run_id:
            rows = [run for run in self.runs.values() if run["state"] in ("queued", "running")]
            return 200, {"dag_runs": rows, "total_entries": len(rows)}
        if run_id not in self.runs:
            return 404, {"detail": "not found"}
        if method == "PATCH":
            self.runs[run_id] |= body
        return 200, self.runs[run_id]

    def _user(self, name: str) -> tuple[int, dict]:
        if name not in self.roles:
            return 404, {"detail": "not found"}
        return 200, {"username": name, "roles": [{"name": self.roles[name]}]}

    def _start(self, body: dict) -> tuple[int, dict]:
        run_id = body["dag_run_id"]
        if run_id in self.runs:
            return 409, {"detail": "there is one"}
        self.runs[run_id] = {"dag_id": "approve_plan", "state": "running"} | body
        return 200, self.runs[run_id]

    @property
    def open_runs(self) -> list[str]:
        """Ids of the runs that wait for an answer."""
        return [run_id for run_id, run in self.runs.items() if run["state"] == "running"]

    def end(self, run_id: str) -> None:
        """Let a run end by itself."""
        self.runs[run_id]["state"] = "success"
