"""Launching against an Airflow API that is busy, slow to show a DAG, or away."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from prodsys.actions.cloning import CloneOrder, clone
from prodsys.actions.launching import dispatch, launch
from prodsys.actions.planning import approve, plan
from prodsys.actions.showing import show_request
from prodsys.errors import AirflowUnavailable
from prodsys.orchestrator.client import AirflowClient


@dataclass
class Airflow:
    """What the API answers: busy for so many calls, then with a DAG of this digest."""

    digest: str = ""
    busy: int = 0
    shown: bool = True
    started: list[str] = field(default_factory=list)

    def answer(self, method: str, path: str, body: dict) -> tuple[int, dict]:
        if self.busy > 0:
            self.busy -= 1
            return 503, {"detail": "busy"}
        if path == "/auth/token":
            return 201, {"access_token": "t"}
        if method == "POST" and path.endswith("/dagRuns"):
            self.started.append(body["dag_run_id"])
            return 200, {"dag_id": "d", "dag_run_id": body["dag_run_id"], "state": "queued"}
        if path.startswith("/api/v2/importErrors"):
            return 200, {"import_errors": [], "total_entries": 0}
        if not self.shown:
            return 404, {"detail": "not found"}
        tags = [{"name": self.digest}]
        return 200, {
            "dag_id": "d",
            "is_stale": False,
            "has_import_errors": False,
            "last_parsed_time": "x",
            "tags": tags,
        }


@pytest.fixture
def airflow() -> Airflow:
    return Airflow()


@pytest.fixture
def url(airflow: Airflow) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
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

        def log_message(self, *arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture
def approved(ctx, import_demo, url, airflow):
    """Hands with this Airflow, and an approved request; patience of a second."""
    import_demo("requests_sheet.csv")
    clients = replace(ctx.clients, airflow=lambda: AirflowClient(url, "prodsys", "p", 5))
    profile = ctx.catalogue.profile
    times = profile.times.model_copy(update={"dag_visible_max_s": 1.5})
    catalogue = ctx.catalogue.model_copy(update={"profile": profile.model_copy(update={"times": times})})
    ready = replace(ctx, clients=clients, catalogue=catalogue)
    clone(ready, "PROD2025-016", "DEMO2025-016", CloneOrder(seed_count=3, events_per_file=20))
    plan(ready, "DEMO2025-016")
    airflow.digest = approve(ready, "DEMO2025-016").digest
    return ready


def test_a_busy_airflow_is_asked_again(approved, airflow):
    airflow.busy = 2
    assert launch(approved, "DEMO2025-016").started
    assert airflow.started == ["DEMO2025-016-r1"]


def test_a_dag_of_another_digest_is_not_started(approved, airflow):
    airflow.digest = "sha256:another"
    with pytest.raises(AirflowUnavailable, match="not shown"):
        launch(approved, "DEMO2025-016")
    assert airflow.started == []
    assert show_request(approved, "DEMO2025-016")["state"] == "ready"


def test_what_could_not_start_is_started_by_the_dispatcher_once_airflow_is_back(approved, airflow):
    airflow.busy = 10_000
    with pytest.raises(AirflowUnavailable):
        launch(approved, "DEMO2025-016")
    assert [answer.started for answer in dispatch(approved)] == [False]
    airflow.busy = 0
    assert [answer.started for answer in dispatch(approved)] == [True]
    assert dispatch(approved) == []
    assert airflow.started == ["DEMO2025-016-r1"]


def test_past_the_limit_a_request_waits_as_ready_and_the_most_urgent_comes_first(approved, airflow):
    policy = approved.catalogue.policy.model_copy(update={"running_limit": 1})
    ctx = replace(approved, catalogue=approved.catalogue.model_copy(update={"policy": policy}))
    for number, priority in ((17, 500), (18, 950)):
        order = CloneOrder(seed_count=3, events_per_file=20, priority=priority)
        clone(ctx, "PROD2025-016", f"DEMO2025-{number:03d}", order)
        plan(ctx, f"DEMO2025-{number:03d}")
        approve(ctx, f"DEMO2025-{number:03d}")
    assert launch(ctx, "DEMO2025-016").started
    assert not launch(ctx, "DEMO2025-017").started
    assert not launch(ctx, "DEMO2025-018").started
    assert [show_request(ctx, f"DEMO2025-{number:03d}")["state"] for number in (17, 18)] == ["ready", "ready"]
    assert [answer.request_id for answer in dispatch(ctx)] == ["DEMO2025-018", "DEMO2025-017"]
    assert airflow.started == ["DEMO2025-016-r1"]
