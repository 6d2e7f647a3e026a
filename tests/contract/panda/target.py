"""A server under test, spoken to by plain HTTP: the sandbox or a live one."""

from __future__ import annotations

import os
import threading
import time
from typing import Any

import httpx

from tests.contract.panda.deadline import Deadline
from tests.contract.panda.outcome import FINAL, Outcome

PATIENCE_S = 120.0
HTTP_TIMEOUT_S = 60.0
GET_TRIES = 3
ALL_TYPES = ["input", "pseudo_input", "random_seed", "output", "log"]


def bare_vo(origin: str) -> str:
    """Experiment of an Origin: ``spd`` of ``spd:production`` and of ``spd.production``, itself where no role is."""
    if ":" in origin:
        return origin.split(":", 1)[0]
    return origin.rsplit(".", 1)[0] if "." in origin else origin


class Submitted:
    """Ids of all tasks this session has made, with who may kill them; every `Server` of a session adds to one."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._owners: dict[int, Server] = {}

    def add(self, task_id: int, owner: Server) -> None:
        """Remember a task."""
        with self._lock:
            self._owners[task_id] = owner

    def items(self) -> list[tuple[int, Server]]:
        """All tasks so far, oldest first."""
        with self._lock:
            return sorted(self._owners.items(), key=lambda pair: pair[0])


class Secret(str):
    """A token that does not show when it is printed as a value."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'<token>'"


class Server:
    """Calls of the API with a token and an Origin; the token shows in no text of this class."""

    def __init__(
        self,
        url: str,
        token: str,
        origin: str,
        patience_s: float = PATIENCE_S,
        narrow: str | None = None,
        *,
        poll_s: float = 0.05,
        clock: Deadline | None = None,
        submitted: Submitted | None = None,
    ) -> None:
        self.site = os.environ.get("PANDA_SITE", "SPD_LOCAL")
        self.url, self.origin, self.patience_s, self.narrow = url, origin, patience_s, narrow
        self.token = Secret(token)
        self.poll_s, self.clock, self.submitted = poll_s, clock or Deadline(24 * 3600.0), submitted or Submitted()
        self.settle_s, self.again_s = min(40 * poll_s, 20.0), min(80 * poll_s, 120.0)
        self.http = httpx.Client(base_url=url, timeout=HTTP_TIMEOUT_S, trust_env=False)
        self._user = ""

    def __repr__(self) -> str:
        return f"<server {self.url}, Origin {self.origin}>"

    def another(self, token: str = "", origin: str = "") -> Server:
        """Return the same server through a connection of its own, with another token or Origin on wish."""
        return Server(
            self.url, token or self.token, origin or self.origin, self.patience_s, self.narrow,
            poll_s=self.poll_s, clock=self.clock, submitted=self.submitted,
        )  # fmt: skip

    @property
    def vo(self) -> str:
        """Experiment, without a role."""
        return bare_vo(self.origin)

    @property
    def user(self) -> str:
        """Name the server knows the token's owner by."""
        if not self._user:
            self._user = str(self.get("system/get_user_attributes")["data"]["user_dn_clean"])
        return self._user

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
        for _ in range(GET_TRIES - 1 if method == "GET" else 0):
            try:
                return self.http.request(method, path, params=query, headers=headers, **given)
            except httpx.TransportError:  # a busy server may drop a connection; what changes nothing is asked again
                time.sleep(self.poll_s)
        return self.http.request(method, path, params=query, headers=headers, **given)

    def get(self, path: str, **query: Any) -> dict[str, Any]:
        """Envelope of a GET."""
        return self._envelope(self.call("GET", f"/api/v1/{path}", query))

    def post(self, path: str, **body: Any) -> dict[str, Any]:
        """Envelope of a POST."""
        return self._envelope(self.call("POST", f"/api/v1/{path}", body=body))

    def _envelope(self, reply: httpx.Response) -> dict[str, Any]:
        try:
            return reply.json()
        except ValueError:
            said = f"{reply.request.method} {reply.request.url.path} answered {reply.status_code}: {reply.text[:300]}"
            raise AssertionError(said) from None

    def submit(self, body: dict[str, Any]) -> int:
        """Id of an accepted task, remembered for the end of the session."""
        reply = self.post("task/submit", **body)
        assert reply["success"], reply
        self.submitted.add(int(reply["data"]), self)
        return int(reply["data"])

    def status(self, task_id: int) -> str | None:
        """Status of a task now; None while the server does not know it."""
        reply = self.get("task/get_status", task_id=task_id)
        return str(reply["data"]) if reply["success"] else None

    def follow(self, task_id: int, until: set[str] | None = None, seen: list[str] | None = None) -> list[str]:
        """Statuses in their order until one of `until` (default: the final ones)."""
        until, seen = until or FINAL, [] if seen is None else seen
        deadline = time.monotonic() + self.patience_s
        while time.monotonic() < deadline:
            status = self.status(task_id)
            if status is not None and status not in seen[-1:]:
                seen.append(status)
            if status in until:
                return seen
            self.clock.check(f"task {task_id} in {sorted(until)}, so far {seen}")
            time.sleep(self.poll_s)
        raise AssertionError(f"task {task_id} is not {sorted(until)} after {self.patience_s} s: {seen}")

    def wait_for_jobs(self, task_id: int, status: str, count: int = 1) -> None:
        """Wait until so many jobs of a task have a status."""
        deadline = time.monotonic() + self.patience_s
        while time.monotonic() < deadline:
            jobs = self.get("task/get_job_descriptions", task_id=task_id)["data"]
            if sum(job["jobStatus"] == status for job in jobs) >= count:
                return
            self.clock.check(f"{count} jobs of task {task_id} in {status}")
            time.sleep(self.poll_s)
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
