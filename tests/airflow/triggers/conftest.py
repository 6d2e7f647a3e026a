"""A PanDA that a test writes, behind the connection ``panda_default``, and the two ways Airflow runs a trigger."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests import airflow_environment  # noqa: F401 - before Airflow
from tests.contract.client.replay import Answer, Replay, serve

import structlog  # isort: skip
from airflow.triggers.base import BaseEventTrigger, TriggerEvent  # isort: skip
from airflow.triggers.shared_stream import SharedStreamManager  # isort: skip

POLL_S = 0.05
Run = Callable[..., AsyncIterator[TriggerEvent]]


@dataclass
class Grid:
    """PanDA's list of tasks, as the test wants it."""

    replay: Replay
    statuses: dict[int, str] = field(default_factory=dict)
    details: dict[int, dict[str, Any]] = field(default_factory=dict)
    maps: dict[int, dict[str, Any]] = field(default_factory=dict)
    slow_s: float = 0.0
    is_down: bool = False
    no_tokens: bool = False

    def __post_init__(self) -> None:
        self.replay.find = self._find  # type: ignore[method-assign]

    @property
    def lists(self) -> int:
        """Number of lists that were asked for."""
        return sum(one.path.endswith("get_tasks_modified_since") for one in self.replay.seen)

    def down(self, *, iam: bool = False) -> None:
        """PanDA answers nothing of use, and with ``iam`` the issuer does not either."""
        self.is_down, self.no_tokens = True, iam

    def up(self) -> None:
        self.is_down = self.no_tokens = False

    def _about(self, path: str, task: int) -> Any:
        status = self.statuses.get(task)
        if path.endswith("get_detailed_info") and status:
            return {"jediTaskID": task, "status": status} | self.details.get(task, {})
        return self.maps.get(task) if path.endswith("get_task_parameters") else status

    def _find(self, method: str, path: str, query: dict[str, list[str]], body: Any) -> Answer:
        if self.no_tokens or (self.is_down and path.startswith("/api")):
            return Answer(503, b"maintenance")
        if path.endswith("openid-configuration"):
            return _json({"token_endpoint": f"{self.replay.url}/token"})
        if path == "/token":
            return _json({"access_token": "t", "expires_in": 3600})
        time.sleep(self.slow_s)
        if path.endswith("task/kill"):
            return _json({"success": True, "message": "command=kill is registered", "data": 0})
        if path.endswith("get_datasets_and_files"):
            return _json({"success": False, "message": "No data found for the task", "data": None})
        if "task_id" in query:
            found = self._about(path, int(query["task_id"][0]))
            return _json({"success": bool(found), "message": "" if found else "Task not found", "data": found})
        if path.endswith("get_tasks_detailed_info_since"):
            found = [{"jediTaskID": one, "status": status, **self.details.get(one, {})}
                     for one, status in self.statuses.items()]  # fmt: skip
            return _json({"success": True, "message": "", "data": found})
        rows = {str(one): {"jediTaskID": one, "status": status} for one, status in self.statuses.items()}
        return _json({"success": True, "message": "", "data": rows})


def _json(body: object) -> Answer:
    return Answer(200, json.dumps(body).encode())


@pytest.fixture
def grid(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> Iterator[Grid]:
    with serve() as replay:
        connection = {
            "conn_type": "panda",
            "host": replay.url,
            "login": "production",
            "password": "s3cret",
            "extra": {"issuer": replay.url, "timeout_s": 2, "origin": "spd.production"},
        }
        monkeypatch.setenv("AIRFLOW_CONN_PANDA_DEFAULT", json.dumps(connection))
        monkeypatch.setenv("PRODSYS_HOME", str(tmp_path))
        yield Grid(replay)


@pytest.fixture(params=["run", "shared"])
def start(request: pytest.FixtureRequest) -> Run:
    """Run a trigger as Airflow does: its own loop, or a subscriber of Airflow's shared stream."""
    return _alone if request.param == "run" else _Subscribers().start


async def _alone(trigger: BaseEventTrigger) -> AsyncIterator[TriggerEvent]:
    async for event in trigger.run():
        yield event


class _Subscribers:
    def __init__(self) -> None:
        self._streams = SharedStreamManager(log=structlog.get_logger("test"))
        self._number = 0

    async def start(self, trigger: BaseEventTrigger) -> AsyncIterator[TriggerEvent]:
        self._number += 1
        number, key = self._number, trigger.shared_stream_key()
        assert key is not None
        stream = self._streams.subscribe(trigger_id=number, trigger=trigger, key=key)
        try:
            async for event in trigger.filter_shared_stream(stream):
                yield event
        finally:
            await self._streams.unsubscribe(number, key)
