"""A small Airflow API over HTTP: busy for so many calls, then with a DAG of one digest; it notes what it was told."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from tests.http_server import QuietHandler, serving

LISTS = {
    "dags": "dags",
    "dagRuns": "dag_runs",
    "hitlDetails": "hitl_details",
    "taskInstances": "task_instances",
    "eventLogs": "event_logs",
}
"""End of a path -> key of its rows."""


@dataclass
class Airflow:
    """What the API answers, and what it was asked to do."""

    digest: str = ""  # of the DAG; several stand side by side
    busy: int = 0
    shown: bool = True
    run_state: str = ""  # of every run that it is asked for; "" when it knows none
    started: list[str] = field(default_factory=list)
    paused: list[bool] = field(default_factory=list)
    pages: dict[str, dict] = field(default_factory=dict)  # path under /api/v2 -> what a GET shows
    refused: frozenset[str] = frozenset()  # paths under /api/v2 that may not be changed
    changed: list[tuple[str, dict]] = field(default_factory=list)
    refuses: set[str] = field(default_factory=set)  # ids of runs that it does not take
    refuses_as_known: set[str] = field(default_factory=set)  # ids of runs that it has already
    cleared: list[str] = field(default_factory=list)  # paths of runs that are to run again
    meanwhile: Callable[[], object] | None = None  # done once, while a DAG is being paused

    def answer(self, method: str, path: str, body: dict) -> tuple[int, dict]:
        """Status and body of one call."""
        if self.busy > 0:
            self.busy -= 1
            return 503, {"detail": "busy"}
        if path == "/auth/token":
            return 201, {"access_token": "t"}
        if method == "POST" and body.get("dag_run_id") in self.refuses:
            return 403, {"detail": "forbidden"}
        if method == "POST" and body.get("dag_run_id") in self.refuses_as_known:
            return 409, {"detail": "there is one"}
        place = path.removeprefix("/api/v2")
        if method == "POST" and place.endswith("/clear"):
            self.cleared.append(place.removesuffix("/clear"))
            return 200, {"dag_id": "d", "dag_run_id": "r", "state": "queued"}
        if method == "GET" and place in self.pages:
            return 200, self.pages[place]
        if method == "PATCH":
            if place in self.refused:
                return 404, {"detail": "the DAG is gone"}
            self.changed.append((place, body))
            if "/dagRuns/" in place:
                return 200, {"dag_id": "d", "dag_run_id": place.rpartition("/")[2], **body}
        if method == "POST" and path.endswith("/dagRuns"):
            self.started.append(body["dag_run_id"])
            return 200, {"dag_id": "d", "dag_run_id": body["dag_run_id"], "state": "queued"}
        if method == "GET" and (key := LISTS.get(path.rpartition("/")[2])) and self.shown:
            return 200, {key: [], "total_entries": 0}
        if method == "GET" and place.rpartition("/")[0].endswith("/dagRuns"):
            dag_id, run_id = place.split("/")[2], place.rpartition("/")[2]
            if self.run_state:
                return 200, {"dag_id": dag_id, "dag_run_id": run_id, "state": self.run_state}
            return 404, {"detail": f"The DagRun with dag_id: `{dag_id}` and run_id: `{run_id}` was not found"}
        if path.startswith("/api/v2/importErrors"):
            return 200, {"import_errors": [], "total_entries": 0}
        if not self.shown:
            return 404, {"detail": "not found"}
        if method == "PATCH" and "is_paused" in body:
            if body["is_paused"] and (act := self.meanwhile):
                self.meanwhile = None
                act()
            self.paused.append(body["is_paused"])
        tags = [{"name": one} for one in self.digest.split()]
        return 200, {
            "dag_id": "d",
            "is_stale": False,
            "has_import_errors": False,
            "last_parsed_time": "x",
            "tags": tags,
        }


@contextmanager
def serve(airflow: Airflow) -> Iterator[str]:
    """Yield the address the API is served at."""

    class Handler(QuietHandler):
        def _serve(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length) or b"{}") if length else {}
            status, reply = airflow.answer(self.command, self.path.partition("?")[0], body)
            data = json.dumps(reply).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = do_PATCH = _serve

    with serving(Handler) as url:
        yield url
