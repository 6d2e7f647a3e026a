"""A server under test, spoken to by plain HTTP: the sandbox or a live one."""

from __future__ import annotations

import os
import time
from typing import Any

import httpx

from tests.contract.panda.outcome import FINAL, Outcome

PATIENCE_S = 120.0
ALL_TYPES = ["input", "pseudo_input", "random_seed", "output", "log"]


class Server:
    """Calls of the API with a token and an Origin."""

    def __init__(
        self, url: str, token: str, origin: str, patience_s: float = PATIENCE_S, narrow: str | None = None
    ) -> None:
        self.site = os.environ.get("PANDA_SITE", "SPD_LOCAL")
        self.url, self.token, self.origin, self.patience_s, self.narrow = url, token, origin, patience_s, narrow
        self.http = httpx.Client(base_url=url, timeout=30)

    def call(
        self,
        method: str,
        path: str,
        query: Any = None,
        body: Any = None,
        *,
        token: str | None = "",
        origin: str | None = "",
        content_type: str | None = "application/json",
    ) -> httpx.Response:
        """One call; an empty token or Origin means the usual one, None means none."""
        headers = {"Accept": "application/json"}
        if content_type:
            headers["Content-Type"] = content_type
        token = self.token if token == "" else token
        origin = self.origin if origin == "" else origin
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        if origin is not None:
            headers["Origin"] = origin
        content = body if isinstance(body, (str, bytes)) else None
        given = {"content": content} if content is not None else {"json": body} if body is not None else {}
        return self.http.request(method, path, params=query, headers=headers, **given)

    def get(self, path: str, **query: Any) -> dict[str, Any]:
        """Envelope of a GET."""
        return self.call("GET", f"/api/v1/{path}", query).json()

    def post(self, path: str, **body: Any) -> dict[str, Any]:
        """Envelope of a POST."""
        return self.call("POST", f"/api/v1/{path}", body=body).json()

    def submit(self, body: dict[str, Any]) -> int:
        """Id of an accepted task."""
        reply = self.post("task/submit", **body)
        assert reply["success"], reply
        return int(reply["data"])

    def follow(self, task_id: int, until: set[str] | None = None, seen: list[str] | None = None) -> list[str]:
        """Statuses in their order until one of `until` (default: the final ones)."""
        until, seen = until or FINAL, [] if seen is None else seen
        deadline = time.monotonic() + self.patience_s
        while time.monotonic() < deadline:
            reply = self.get("task/get_status", task_id=task_id)
            if reply["success"] and reply["data"] not in seen[-1:]:
                seen.append(reply["data"])
            if reply["data"] in until:
                return seen
            time.sleep(0.03)
        raise AssertionError(f"task {task_id} is not {sorted(until)} after {self.patience_s} s: {seen}")

    def wait_for_jobs(self, task_id: int, status: str, count: int = 1) -> None:
        """Wait until so many jobs of a task have a status."""
        deadline = time.monotonic() + self.patience_s
        while time.monotonic() < deadline:
            jobs = self.get("task/get_job_descriptions", task_id=task_id)["data"]
            if sum(job["jobStatus"] == status for job in jobs) >= count:
                return
            time.sleep(0.05)
        raise AssertionError(f"task {task_id} has no {count} jobs in {status}")

    def look(self, task_id: int, statuses: list[str]) -> Outcome:
        """Everything the server tells of a task now."""
        outcome = Outcome(task_id, statuses)
        outcome.info = self.get("task/get_detailed_info", task_id=task_id)["data"] or {}
        flags = {"include_parameters": True, "include_status": True}
        outcome.details = self.get("task/get_details", task_id=task_id, **flags)["data"] or {}
        outcome.params = self.get("task/get_task_parameters", task_id=task_id)["data"] or {}
        outcome.job_ids = self.get("task/get_job_ids", task_id=task_id)["data"]
        outcome.jobs = self.get("task/get_job_descriptions", task_id=task_id)["data"]
        query = {"task_id": task_id, "dataset_types": ALL_TYPES}
        outcome.datasets = self.get("task/get_datasets_and_files", **query)["data"] or []
        return outcome

    def run(self, body: dict[str, Any]) -> Outcome:
        """Submit a map and follow it to its end."""
        task_id = self.submit(body)
        return self.look(task_id, self.follow(task_id))
